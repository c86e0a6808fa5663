"""Where reading of a partition begins, and what is missing there: every case that a bridge may find."""

import pytest

from app.events.positions import NO_ID, Beginning, Progress
from consumers.bridge.start_offsets import Found, Place, place_of
from consumers.kafka.record_reader import Bounds

BOUNDS = Bounds(40, 100)


def found(progress: Progress, topic_id: str = "a", *, was_read: bool = False, has_state: bool = False) -> Found:
    return Found(topic_id, progress, was_read=was_read, has_state=has_state)


def known(stored: int | None, topic_id: str = "a", begun: Beginning | None = Beginning.FIRST) -> Progress:
    return Progress(topic_id, begun, {} if stored is None else {0: stored})


def where(of: Found, *, is_committed: bool = True, bounds: Bounds = BOUNDS) -> Place:
    return place_of(of, of.stored(0), bounds, is_committed=is_committed)


@pytest.mark.parametrize(
    ("progress", "was_read", "has_state", "expected"),
    [
        (Progress(), False, False, Beginning.FIRST),
        (Progress(), True, False, Beginning.LOST),
        (Progress(), True, True, Beginning.FIRST),  # other sources are known: this one may be on another cluster
        (known(50), True, True, Beginning.FIRST),
        (known(50, begun=Beginning.LOST), True, True, Beginning.LOST),
        (known(50, "another"), True, True, Beginning.ANEW),
        (known(50, NO_ID, None), True, True, Beginning.FIRST),  # of the previous version
    ],
)
def test_how_a_topic_is_begun(progress: Progress, was_read: bool, has_state: bool, expected: Beginning) -> None:
    """The start of a topic depends on the state in Redis, and on signs that state was lost."""
    assert found(progress, was_read=was_read, has_state=has_state).begun == expected


@pytest.mark.parametrize("stored", [40, 70, 100])
def test_a_position_that_kafka_has_is_read_on_from(stored: int) -> None:
    """This does not depend on the group's committed offsets."""
    assert where(found(known(stored)), is_committed=False) == Place(stored)


def test_records_before_the_first_that_kafka_has_are_missing() -> None:
    """The records from the position on were never accepted."""
    assert where(found(known(15))) == Place(40, 15)


def test_a_topic_made_anew_is_read_from_its_beginning() -> None:
    """The old position does not count, even if the new topic has that offset; what the new topic has deleted is missing."""
    assert where(found(known(70, "another"))) == Place(40, 0)
    assert where(found(known(70, "another")), bounds=Bounds(0, 100)) == Place(0)


def test_a_lost_state_is_read_again_and_what_kafka_lost_is_missing() -> None:
    """This includes a partition that another bridge had not started when it recorded the loss."""
    assert where(found(Progress(), was_read=True)) == Place(40, 0)
    assert where(found(known(None, begun=Beginning.LOST))) == Place(40, 0)


def test_a_first_start_misses_nothing() -> None:
    """Nor does a partition that was added to a topic."""
    assert where(found(Progress()), is_committed=False) == Place(40)
    assert where(found(known(None)), is_committed=False) == Place(40)


def test_a_position_beyond_the_end_tells_that_kafka_lost_records() -> None:
    """The topic is the same, so it is read from the beginning, since the last common record is unknown. Nothing is missing."""
    place = where(found(known(120)))
    assert place[:2] == (40, None)
    assert "Kafka lost records: it ends at 100, and was read up to 120" in place.remark


@pytest.mark.parametrize(("stored", "is_committed"), [(120, True), (70, False)])
@pytest.mark.parametrize("topic_id", [NO_ID, "a"])
def test_without_ids_a_topic_made_anew_shows_by_other_signs(stored: int, is_committed: bool, topic_id: str) -> None:
    """This holds for brokers without ids, and once after an upgrade from a version without them."""
    place = where(found(known(stored, NO_ID), topic_id), is_committed=is_committed)
    assert place[:2] == (40, 0)
    assert "is of a topic that is gone" in place.remark


@pytest.mark.parametrize("is_committed", [True, False])
def test_without_ids_a_position_at_the_beginning_is_no_sign(is_committed: bool) -> None:
    """Nothing was accepted yet, so nothing can belong to another topic."""
    assert where(found(known(40, NO_ID), NO_ID), is_committed=is_committed) == Place(40)
