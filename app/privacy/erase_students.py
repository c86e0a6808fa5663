"""Erases students: their facts at once, then whatever else the engine holds of them, and leaves receipts."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from app.privacy.erasure import Erasure, PendingErasure, moment
from app.privacy.erasure_store import ErasureStore
from app.privacy.student_data import Directory, EventsInFlight, Facts, StudentData
from app.pseudonyms import WHOLE_TENANT

FACTS = "facts"
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
    """

    facts: Facts
    in_flight: EventsInFlight
    others: Mapping[str, StudentData]
    announce: Callable[[str, Sequence[str], datetime], None]
    directories: Sequence[Directory] = ()
    dropped_whole: Mapping[str, Callable[[str], int]] = MappingProxyType({})


class Attempt(NamedTuple):
    """A step of an erasure, and the receipt if it finished it. ``is_done`` is False if the erasure has to be tried again."""

    erasure: PendingErasure
    is_done: bool
    receipt: Erasure | None = None


def request_erasures(tenant: str, students: Mapping[str, str], *, facts: Facts, erasures: ErasureStore) -> list[PendingErasure]:
    """Accept the erasure of each student (pseudonym → id), and erase their facts at once. Tasks erase the rest.

    ``WHOLE_TENANT`` → "" accepts that of all students of the tenant, whose facts tasks erase too. From then on nobody sees a
    result of theirs, and no event with an earlier timestamp is recorded.

    Returns:
        The erasure of each student, in order; that of an earlier request if it still runs.
    """
    accepted = erasures.accept(tenant, students)
    for each in accepted:
        if each.student_id:
            _erase_facts(tenant, each, [each.student_id], facts, erasures)
        else:
            facts.refuse(tenant, each.requested)
    erasures.sync(tenant)
    return accepted


def run_erasures(tenant: str, *, stores: Stores, erasures: ErasureStore) -> Iterator[Attempt]:
    """Try each erasure of the tenant that runs, once. Any call may be lost or repeated at any point.

    Yields:
        After each step.
    """
    began = erasures.touch(tenant)
    while (pending := erasures.next(tenant, began)) is not None:
        for attempt in _erase(tenant, pending, stores, erasures):
            yield attempt
            erasures.touch(tenant)
    erasures.forget(tenant, began)


def _erase(tenant: str, pending: PendingErasure, stores: Stores, erasures: ErasureStore) -> Iterator[Attempt]:
    """Erase a student, or all of the tenant, as far as that is possible now. Yields after each step; the last one is final."""
    if pending.pseudonym == WHOLE_TENANT:
        is_done = yield from _erase_everybody(tenant, pending, stores, erasures)
    else:
        is_done = _erase_some(tenant, pending, [pending.student_id], stores, erasures)
    student_id = pending.student_id or None
    if stores.in_flight.holds(tenant, student_id, moment(pending.requested) + CLOCKS_DIFFER):
        is_done = False
    yield Attempt(pending, is_done, erasures.finish(tenant, pending) if is_done else None)


def _erase_everybody(
    tenant: str, pending: PendingErasure, stores: Stores, erasures: ErasureStore
) -> Generator[Attempt, None, bool]:
    """Erase all students of the tenant, some at a time. Returns whether nothing is left."""
    stores.facts.refuse(tenant, pending.requested)
    stores.announce(tenant, [pending.student_id], moment(pending.requested))
    for kind, drop in stores.dropped_whole.items():
        erasures.count(tenant, pending, kind, drop(tenant))
    is_done = True
    for directory in stores.directories:
        for students in directory.students(tenant):
            is_done = _erase_some(tenant, pending, students, stores, erasures) and is_done
            yield Attempt(pending, is_done=True)
    return is_done


def _erase_some(tenant: str, pending: PendingErasure, students: Sequence[str], stores: Stores, erasures: ErasureStore) -> bool:
    """Erase students from all stores, and tell other services. Returns whether nothing is left."""
    _erase_facts(tenant, pending, students, stores.facts, erasures)
    is_done = True
    for kind, store in stores.others.items():
        erased = store.erase(tenant, students)
        erasures.count(tenant, pending, kind, erased.count)
        is_done = is_done and erased.is_done
    if is_done:
        stores.announce(tenant, students, moment(pending.requested))
    return is_done


def _erase_facts(tenant: str, pending: PendingErasure, students: Sequence[str], facts: Facts, erasures: ErasureStore) -> None:
    erasures.count(tenant, pending, FACTS, facts.erase(tenant, dict.fromkeys(students, pending.requested)))
