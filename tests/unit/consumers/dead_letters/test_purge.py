"""Planning a purge: which dead letters are marked, and what can be deleted of each partition."""

from app.events.handled_letters import Place
from consumers.dead_letters.purge import PurgePlan, plan_purge
from consumers.dead_letters.stored_letter import LetterFilter, StoredDeadLetter, read_letter
from consumers.kafka.record_reader import Bounds


def letters(*places: tuple[int, int]) -> list[StoredDeadLetter]:
    """Unreadable records, of the tenant t-1 if the offset is even."""
    return [read_letter(Place(*place), b"t-1/s" if place[1] % 2 == 0 else None, None, {}) for place in places]


def test_all_of_a_topic() -> None:
    """Every dead letter is marked, and every non-empty partition can be emptied."""
    plan = plan_purge(letters((0, 5), (0, 6), (1, 0)), {0: Bounds(5, 7), 1: Bounds(0, 1), 2: Bounds(4, 4)}, (), LetterFilter())
    assert plan == PurgePlan([Place(0, 5), Place(0, 6), Place(1, 0)], {0: 7, 1: 1})
    assert plan.deleted() == 3


def test_deleting_ends_at_the_first_letter_that_stays() -> None:
    """Dead letters after it are only marked."""
    plan = plan_purge(letters((0, 0), (0, 1), (0, 2)), {0: Bounds(0, 3)}, (), LetterFilter(tenant="t-1"))
    assert plan == PurgePlan([Place(0, 0), Place(0, 2)], {0: 1})
    assert plan.deleted() == 1


def test_what_was_handled_before_stands_in_nobodys_way() -> None:
    """Handled dead letters are not marked again, and are deleted with the others."""
    found = letters((0, 0), (0, 1), (0, 2), (0, 3))
    plan = plan_purge(found, {0: Bounds(0, 4)}, {Place(0, 0), Place(0, 1)}, LetterFilter(tenant="t-1"))
    assert plan == PurgePlan([Place(0, 2)], {0: 3})


def test_offsets_without_a_letter_stand_in_nobodys_way() -> None:
    """A broker may leave out offsets."""
    plan = plan_purge(letters((0, 2), (0, 8)), {0: Bounds(0, 12)}, (), LetterFilter())
    assert plan == PurgePlan([Place(0, 2), Place(0, 8)], {0: 12})


def test_nothing_to_do() -> None:
    """Nothing is marked, and no partition can be shortened."""
    assert plan_purge(letters((0, 1)), {0: Bounds(1, 2)}, (), LetterFilter(tenant="t-1")) == PurgePlan([], {})
