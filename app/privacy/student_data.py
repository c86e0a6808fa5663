"""What an erasure and an export need of the stores. They implement these protocols without knowing this area."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.storage.erased import Erased, ErasedFacts
from app.storage.exported import Exported


class StudentData(Protocol):
    """A store that holds something of students."""

    def erase(self, tenant: str, students: Sequence[str], /) -> Erased:
        """Erase what the store holds of these students. May be repeated at any time."""
        ...


class Facts(Protocol):
    """The facts of students. Their erasure also keeps earlier events from being recorded again."""

    def erase(self, tenant: str, students: Mapping[str, int], /, *, up_to_request: bool = False) -> ErasedFacts:
        """Erase the facts of students, given the moment of each request: microseconds."""
        ...

    def refuse(self, tenant: str, until: int, /) -> None:
        """Refuse all events of the tenant up to a moment: microseconds."""
        ...


class RestorableFacts(Protocol):
    """The facts of students, to restore erasures. Moments are in microseconds."""

    retention_days: int

    def lost_erasures(self, tenant: str, erasures: Mapping[str, int], /) -> dict[str, int]:
        """Those of these erasures (pseudonym → until when) that are not known."""
        ...

    def remember(self, tenant: str, erasures: Mapping[str, int], /) -> None:
        """Refuse events of students (pseudonym → until when)."""
        ...

    def erase(self, tenant: str, students: Mapping[str, int], /, *, up_to_request: bool) -> ErasedFacts:
        """Erase the facts of students, given until when, and refuse their earlier events."""
        ...


class PseudonymousKeys(Protocol):
    """Keys that decrypt something of students, stored under their pseudonyms."""

    def forget(self, tenant: str, pseudonyms: Iterable[str], /) -> int:
        """Delete the keys of these students. Returns how many there were."""
        ...


class EventsInFlight(Protocol):
    """Events that were accepted and are not recorded yet."""

    def holds(self, tenant: str, student_id: str | None, accepted_before: datetime, /) -> bool:
        """Whether there are events of a student (None: of any) that were accepted before a moment."""
        ...


class Directory(Protocol):
    """Finds the students of a tenant."""

    def students(self, tenant: str, /) -> Iterator[list[str]]:
        """The students, some at a time; some may come twice."""
        ...


class Exportable(Protocol):
    """A method of a store that holds something of students."""

    def __call__(self, tenant: str, student_id: str, /) -> Exported:
        """What the store holds of a student, as a table. Nothing is read before its rows are."""
        ...
