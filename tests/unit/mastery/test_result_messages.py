"""The messages that are published for a change of mastery."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from app.clock import day_number, microseconds
from app.mastery.result_messages import (
    Change,
    Erasure,
    MasteryUpdated,
    ThresholdReached,
    Update,
    encode_message,
    erased_message,
    updates,
)

AT = datetime(2026, 10, 28, 22, 54, 27, tzinfo=UTC)
CHANGE = Change("s-1", "c-1", revision=17, day=day_number(AT), millionths=612_500, previous=574_524)


def told(**changes: int | str) -> list[Update]:
    return list(updates("t-1", msgspec.structs.replace(CHANGE, **changes), AT))


def test_both_messages_of_a_change_as_json() -> None:
    """Both have the same data and their own ids. The ids are fixed here, since repeats after an upgrade must have the same."""
    updated, reached = (json.loads(encode_message(each)) for each in told())
    assert updated == {
        "event_type": "mastery.updated",
        "event_id": "00ed2b30-54ad-516c-b4c2-0c56146ab4cb",
        "timestamp": "2026-10-28T22:54:27Z",
        "tenant_id": "t-1",
        "student_id": "s-1",
        "cohort_id": "c-1",
        "version": "1.0",
        "data": {
            "revision": 17,
            "date": "2026-10-28",
            "score": 0.6125,
            "level": "competent",
            "previous_score": 0.574524,
            "previous_level": "developing",
        },
    }
    assert reached == updated | {"event_type": "mastery.threshold.reached", "event_id": "88d90b63-6d5f-5d91-b02b-a4c3065f34fd"}


@pytest.mark.parametrize(
    ("previous", "millionths", "levels"),
    [
        (574_524, 599_999, None),
        (599_999, 600_000, ("developing", "competent")),
        (600_000, 599_999, ("competent", "developing")),
        (0, 1_000_000, ("beginner", "expert")),
        (1_000_000, 0, ("expert", "beginner")),
        (-1, 400_000, (None, "developing")),
        (-1, 399_999, None),
        (-1, 0, None),
    ],
)
def test_a_level_is_reached_up_or_down(previous: int, millionths: int, levels: tuple[str | None, str] | None) -> None:
    """A student without a previous score counts as being on the lowest level."""
    first, *more = told(previous=previous, millionths=millionths)
    assert isinstance(first, MasteryUpdated)
    assert ([] if levels is None else [levels]) == [(each.data.previous_level, each.data.level) for each in more]
    assert all(isinstance(each, ThresholdReached) for each in more)


def test_a_first_score_has_no_previous_one() -> None:
    """This differs from a previous score of 0."""
    (first,) = told(previous=-1, millionths=100_000)
    assert (None, None) == (first.data.previous_score, first.data.previous_level)
    (risen,) = told(previous=0, millionths=100_000)
    assert (0.0, "beginner") == (risen.data.previous_score, risen.data.previous_level)


def test_no_cohort_is_told_as_null() -> None:
    """The store has no null, and uses an empty text."""
    assert [None, None] == [each.cohort_id for each in told(cohort_id="")]


def test_a_repeat_has_the_same_ids() -> None:
    """Any relay makes the same ids, so consumers can drop repeats. A change stored again after a crash of Redis differs."""
    assert [each.event_id for each in told()] == [each.event_id for each in told()]
    later = updates("t-1", CHANGE, AT + timedelta(milliseconds=1))
    assert {each.event_id for each in told()}.isdisjoint(each.event_id for each in later)


@pytest.mark.parametrize("another", [{"revision": 18}, {"day": CHANGE.day + 1}, {"student_id": "s-2"}])
def test_another_change_has_other_ids(another: dict[str, int | str]) -> None:
    """No id is shared with another change."""
    assert {each.event_id for each in told()}.isdisjoint(each.event_id for each in told(**another))


def test_another_tenant_s_student_has_other_ids() -> None:
    """Students of two tenants may have the same id."""
    others = updates("t-2", CHANGE, AT)
    assert {each.event_id for each in told()}.isdisjoint(each.event_id for each in others)


def test_moments_are_told_in_utc() -> None:
    """The machine's time zone does not matter."""
    abroad = AT.astimezone(timezone(timedelta(hours=2)))
    assert [AT.isoformat()] * 2 == [each.timestamp.isoformat() for each in updates("t-1", CHANGE, abroad)]


def test_a_change_is_an_array_in_the_order_that_the_script_writes() -> None:
    """``put_scores.lua`` does not use field names."""
    noted = msgspec.msgpack.encode(["s-1", "", 1, 20_754, 400_000, -1])
    assert Change("s-1", "", revision=1, day=20_754, millionths=400_000, previous=-1) == msgspec.msgpack.decode(
        noted, type=Change
    )


def test_an_erasure_as_json() -> None:
    """It says up to which moment, to the microsecond. The id is fixed here, since a repeat must have the same."""
    erasure = Erasure("s-1", microseconds(AT) + 250_001)
    assert json.loads(encode_message(erased_message("t-1", erasure))) == {
        "event_type": "student.erased",
        "event_id": "77038684-9492-560d-8eb3-883ccdb86559",
        "timestamp": "2026-10-28T22:54:27.250001Z",
        "tenant_id": "t-1",
        "student_id": "s-1",
        "version": "1.0",
        "data": {"erased_until": "2026-10-28T22:54:27.250001Z"},
    }


@pytest.mark.parametrize(
    ("tenant", "erasure"),
    [("t-2", Erasure("s-1", 1)), ("t-1", Erasure("s-2", 1)), ("t-1", Erasure("s-1", 2))],
    ids=["tenant", "student", "moment"],
)
def test_another_erasure_has_another_id(tenant: str, erasure: Erasure) -> None:
    """Only a repeat of the same erasure has the same id."""
    first = erased_message("t-1", Erasure("s-1", 1))
    assert first == erased_message("t-1", Erasure("s-1", 1))
    assert first.event_id != erased_message(tenant, erasure).event_id
