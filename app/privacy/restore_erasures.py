"""Restores erasures that Redis has lost: it was emptied, crashed, or was restored from a backup. Kafka has a record of each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from app.clock import microseconds
from app.privacy.erasure_store import ErasureStore
from app.privacy.expire_erasures import forgotten_until
from app.privacy.student_data import Directory, PseudonymousKeys, RestorableFacts
from app.pseudonyms import WHOLE_TENANT, Pseudonymize


class Sources(NamedTuple):
    """What a restored erasure needs.

    Attributes:
        facts: the facts of students.
        directories: they find the students whom a backup has brought back.
        erasures: accepts their erasure from the other stores, by tasks.
        pseudonyms: recognizes them.
        letter_keys: the keys of dead letters, also of students whom the directories do not find.
    """

    facts: RestorableFacts
    directories: Sequence[Directory]
    erasures: ErasureStore
    pseudonyms: Pseudonymize
    letter_keys: PseudonymousKeys


def restore_erasures(tenant: str, recorded: Mapping[str, datetime], *, sources: Sources, now: datetime) -> int:
    """Restore those of the recorded erasures (pseudonym → until when) that are not known; may be repeated at any time.

    From then on the students' earlier events are refused again. Those of the students whom the engine still has were brought
    back by a backup from before their erasure, so all their facts are older than it: they are erased at once, as are the keys
    of their dead letters, and the rest by tasks. Erasures from before the retention are ignored: they are forgotten too where
    nothing was lost.

    Returns:
        How many erasures had been lost.
    """
    facts, oldest = sources.facts, forgotten_until(now, sources.facts.retention_days)
    recent = {pseudonym: until for pseudonym, at in recorded.items() if (until := microseconds(at)) > oldest}
    lost = facts.lost_erasures(tenant, recent)
    if not lost:
        return 0
    for directory in sources.directories:
        for students in directory.students(tenant):
            _erase_again(tenant, students, lost, sources)
    if WHOLE_TENANT in lost:
        sources.erasures.accept(tenant, {WHOLE_TENANT: ""}, requested=lost[WHOLE_TENANT])
    sources.letter_keys.forget(tenant, lost.keys() - {WHOLE_TENANT})
    facts.remember(tenant, lost)
    return len(lost)


def _erase_again(tenant: str, students: Sequence[str], lost: Mapping[str, int], sources: Sources) -> None:
    """Erase those of these students whose erasure was lost.

    It is accepted before their facts are erased, and the caller remembers it at the end: if a call ends in between, the next
    one still finds it lost.
    """
    of_all = [lost[WHOLE_TENANT]] if WHOLE_TENANT in lost else []
    for student in students:
        pseudonyms = sources.pseudonyms(tenant, student)
        own = [lost[each] for each in pseudonyms if each in lost]
        if own:
            sources.erasures.accept(tenant, {pseudonyms[0]: student}, requested=max(own))
        if own or of_all:
            sources.facts.erase(tenant, {student: max(own + of_all)}, up_to_request=True)
