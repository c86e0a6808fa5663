"""Erases students: their facts at once, then whatever else the engine holds of them, and leaves receipts."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from app.privacy.erasure import Erasure, Part, PendingErasure, moment
from app.privacy.erasure_store import ErasureStore
from app.privacy.student_data import Directory, EventsInFlight, Facts, StudentData
from app.pseudonyms import WHOLE_TENANT

FACTS = "facts"
Announce: TypeAlias = Callable[[str, Sequence[str], datetime], None]
# The clocks of a bridge, which says when events were accepted, and of Redis, which says when an erasure was, may differ.
CLOCKS_DIFFER = timedelta(minutes=1)


class Stores(NamedTuple):
    """What the engine holds of students.

    Attributes:
        facts: their facts.
        in_flight: their events that are not recorded yet.
        others: the other stores by kind of data, in the order of their erasure.
        announce: tells other services to erase students of a tenant, up to a moment. May be repeated.
        directories: they find all students of a tenant, to erase the whole tenant.
        dropped_whole: kinds of data that the erasure of a whole tenant drops first; each returns the number of dropped things.
        dropped_last: kinds that such an erasure drops again when nothing else is left: what was made of the students meanwhile.
    """

    facts: Facts
    in_flight: EventsInFlight
    others: Mapping[str, StudentData]
    announce: Announce
    directories: Sequence[Directory] = ()
    dropped_whole: Mapping[str, Callable[[str], int]] = MappingProxyType({})
    dropped_last: Mapping[str, Callable[[str], int]] = MappingProxyType({})


class Step(NamedTuple):
    """A step of an erasure.

    Attributes:
        erasure: the erasure.
        students: of a whole tenant: those who were erased in this step.
        receipt: if this step finished it.
    """

    erasure: PendingErasure
    students: Sequence[str] = ()
    receipt: Erasure | None = None


def request_erasures(
    tenant: str,
    students: Mapping[str, str],
    *,
    facts: Facts,
    erasures: ErasureStore,
    announce: Announce,
) -> list[PendingErasure]:
    """Accept the erasure of each student (pseudonym → id), and erase their facts at once. Tasks erase the rest.

    ``WHOLE_TENANT`` → "" accepts that of all students of the tenant, whose facts tasks erase too. From then on no event with an
    earlier timestamp is recorded, and nobody sees a result that is computed from the facts.

    Returns:
        The erasure of each student, in order; that of an earlier request, extended to now, if it still runs.
    """
    accepted = erasures.accept(tenant, students)
    for each in accepted:
        if each.student_id:
            _erase_facts(tenant, each, [each.student_id], facts, erasures)
        else:
            facts.refuse(tenant, each.requested)
        _announce(tenant, each, announce, erasures)
    erasures.sync(tenant)
    return accepted


def run_erasures(tenant: str, *, stores: Stores, erasures: ErasureStore, audit: Callable[[Step], None]) -> Iterator[Step]:
    """Try each erasure of the tenant that runs, once. Any call may be lost or repeated at any point.

    ``audit`` notes steps that erased students of a tenant or finished an erasure; it may be called again for the same.

    Yields:
        After each step.
    """
    began = erasures.touch(tenant)
    while (pending := erasures.next(tenant, began)) is not None:
        for step in _erase(tenant, pending, stores, erasures):
            if step.students or step.receipt is not None:
                audit(step)
            if step.receipt is not None:
                erasures.close(tenant, step.receipt)
            yield step
            erasures.touch(tenant)
    erasures.forget(tenant, began)


def _erase(tenant: str, pending: PendingErasure, stores: Stores, erasures: ErasureStore) -> Iterator[Step]:
    """Erase a student, or all of the tenant, as far as that is possible now. Yields after each step."""
    if not erasures.has(tenant, pending, Part.ANNOUNCED):  # the process that accepted it has died
        _announce(tenant, pending, stores.announce, erasures)
    if pending.pseudonym == WHOLE_TENANT:
        is_done = yield from _erase_everybody(tenant, pending, stores, erasures)
    else:
        _erase_facts(tenant, pending, [pending.student_id], stores.facts, erasures)
        is_done = _erase_others(tenant, pending, [pending.student_id], stores, erasures)
    student_id = pending.student_id or None
    if stores.in_flight.holds(tenant, student_id, moment(pending.requested) + CLOCKS_DIFFER):
        is_done = False
    yield Step(pending, receipt=erasures.finish(tenant, pending) if is_done else None)


def _erase_everybody(
    tenant: str, pending: PendingErasure, stores: Stores, erasures: ErasureStore
) -> Generator[Step, None, bool]:
    """Erase all students of the tenant, some at a time.

    Students who have come or returned since the request stay. A page that has only these is no step, so that each slice of the
    task gets further.

    Yields:
        After each step.

    Returns:
        Whether nothing is left.
    """
    stores.facts.refuse(tenant, pending.requested)
    if not erasures.has(tenant, pending, Part.DROPPED):
        for kind, drop in stores.dropped_whole.items():
            erasures.count(tenant, pending, kind, drop(tenant))
        erasures.note(tenant, pending, Part.DROPPED)
    is_done = True
    for directory in stores.directories:
        for page in directory.students(tenant):
            returned = _erase_facts(tenant, pending, page, stores.facts, erasures, up_to_request=True)
            if students := [student for student in page if student not in returned]:
                is_done = _erase_others(tenant, pending, students, stores, erasures) and is_done
                stores.announce(tenant, students, moment(pending.requested))
                yield Step(pending, students)
    if is_done:
        for kind, drop in stores.dropped_last.items():
            erasures.count(tenant, pending, kind, drop(tenant))
    return is_done


def _announce(tenant: str, pending: PendingErasure, announce: Announce, erasures: ErasureStore) -> None:
    """Tell other services; it follows what they were told of the student before."""
    announce(tenant, [pending.student_id], moment(pending.requested))
    erasures.note(tenant, pending, Part.ANNOUNCED)


def _erase_facts(
    tenant: str,
    pending: PendingErasure,
    students: Sequence[str],
    facts: Facts,
    erasures: ErasureStore,
    *,
    up_to_request: bool = False,
) -> frozenset[str]:
    """Erase facts. Returns the students who have only what came after the request."""
    erased = facts.erase(tenant, dict.fromkeys(students, pending.requested), up_to_request=up_to_request)
    erasures.count(tenant, pending, FACTS, erased.count)
    return erased.returned


def _erase_others(
    tenant: str, pending: PendingErasure, students: Sequence[str], stores: Stores, erasures: ErasureStore
) -> bool:
    """Erase students from the other stores. Returns whether nothing is left."""
    is_done = True
    for kind, store in stores.others.items():
        erased = store.erase(tenant, students)
        erasures.count(tenant, pending, kind, erased.count)
        is_done = is_done and erased.is_done
    return is_done
