"""Erases students: their facts at once, then whatever else the engine holds of them, and leaves receipts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.privacy.erasure import Erasure, PendingErasure, moment
from app.privacy.erasure_store import ErasureStore
from app.privacy.student_data import EventsInFlight, Facts, StudentData

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
    """

    facts: Facts
    in_flight: EventsInFlight
    others: Mapping[str, StudentData]
    announce: Callable[[str, Sequence[str], datetime], None]


class Attempt(NamedTuple):
    """An erasure, and its receipt if this attempt finished it. ``is_done`` is False if it has to be tried again."""

    erasure: PendingErasure
    is_done: bool
    receipt: Erasure | None = None


def request_erasures(tenant: str, students: Mapping[str, str], *, facts: Facts, erasures: ErasureStore) -> list[PendingErasure]:
    """Accept the erasure of each student (pseudonym → id), and erase their facts at once. Tasks erase the rest.

    From then on nobody sees a result of theirs, and no event with an earlier timestamp is recorded.

    Returns:
        The erasure of each student, in order; that of an earlier request if it still runs.
    """
    accepted = erasures.accept(tenant, students)
    for each in accepted:
        _erase_facts(tenant, each, facts, erasures)
    return accepted


def run_erasures(tenant: str, *, stores: Stores, erasures: ErasureStore) -> Iterator[Attempt]:
    """Try each erasure of the tenant that runs, once. Any call may be lost or repeated at any point.

    Yields:
        After each attempt, the erasure.
    """
    began = erasures.touch(tenant)
    while (pending := erasures.next(tenant, began)) is not None:
        yield _erase(tenant, pending, stores, erasures)
        erasures.touch(tenant)
    erasures.forget(tenant, began)


def _erase(tenant: str, pending: PendingErasure, stores: Stores, erasures: ErasureStore) -> Attempt:
    """Erase one student, as far as that is possible now."""
    _erase_facts(tenant, pending, stores.facts, erasures)
    # The other stores after the events in flight, as a failing event becomes a dead letter.
    is_done = not stores.in_flight.holds(tenant, pending.student_id, moment(pending.requested) + CLOCKS_DIFFER)
    for kind, store in stores.others.items():
        erased = store.erase(tenant, [pending.student_id])
        erasures.count(tenant, pending, kind, erased.count)
        is_done = is_done and erased.is_done
    if is_done:
        stores.announce(tenant, [pending.student_id], moment(pending.requested))
    return Attempt(pending, is_done, erasures.finish(tenant, pending) if is_done else None)


def _erase_facts(tenant: str, pending: PendingErasure, facts: Facts, erasures: ErasureStore) -> None:
    erasures.count(tenant, pending, FACTS, facts.erase(tenant, {pending.student_id: pending.requested}))
