"""Watching a batch during an outage, and its exit codes."""

from datetime import UTC, date, datetime

import pytest

from app.batches.batch import Batch, BatchOrder, BatchStatus
from app.clock import day_number
from app.errors import DependencyUnavailable
from app.mastery.formula import Weights
from cli.commands.batch_watch import EXIT_CODES, states

ORDER = BatchOrder(day=day_number(date(2026, 10, 28)), weights=Weights(), owner="admin:operator")


def in_state(status: BatchStatus) -> Batch:
    return Batch(batch_id="b-1", order=ORDER, status=status, created=datetime(2026, 10, 28, 12, tzinfo=UTC))


def test_each_way_to_end_has_an_exit_code_of_its_own() -> None:
    """Other than those of errors and wrong usage."""
    assert EXIT_CODES.keys() == {status for status in BatchStatus if status.is_final}
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert set(EXIT_CODES.values()).isdisjoint({1, 2, 3, 130})


def test_an_outage_that_lasts_is_an_error() -> None:
    """It is told once before."""
    told: list[str] = []
    asked = 0

    def read() -> Batch:
        nonlocal asked
        asked += 1
        raise DependencyUnavailable("redis")

    with pytest.raises(DependencyUnavailable):
        next(states(read, told.append, patience=0.3))
    assert asked > 1
    assert told == ["redis is unavailable; waiting until it answers again"]


def test_each_outage_is_told_anew() -> None:
    """And that it is over; the states go on until the batch has ended."""
    told: list[str] = []
    replies = [None, BatchStatus.RUNNING, None, None, BatchStatus.SUCCEEDED]

    def read() -> Batch:
        status = replies.pop(0)
        if status is None:
            raise DependencyUnavailable("redis")
        return in_state(status)

    assert [batch.status for batch in states(read, told.append)] == [BatchStatus.RUNNING, BatchStatus.SUCCEEDED]
    assert told == ["redis is unavailable; waiting until it answers again", "it answers again"] * 2
