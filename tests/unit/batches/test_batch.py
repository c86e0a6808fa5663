"""The progress and the outcome of a batch."""

from datetime import timedelta
from typing import Any

import pytest

from app.batches.batch import Batch, BatchOrder, BatchStatus, Progress, outcome, progress
from app.clock import day_number
from app.mastery.formula import DEFAULT_WEIGHTS
from tests.conftest import NOW

ORDER = BatchOrder(day=day_number(NOW), weights=DEFAULT_WEIGHTS, owner="admin:a-1")


def batch(**state: Any) -> Batch:
    return Batch(**{"batch_id": "b-1", "order": ORDER, "status": BatchStatus.RUNNING, "created": NOW, **state})


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, Progress(None, None, None)),
        ({"total": 200}, Progress(0.0, None, None)),
        ({"total": 200, "started": NOW}, Progress(0.0, None, None)),
        ({"total": 200, "started": NOW, "succeeded": 40, "failed": 10}, Progress(0.25, 5.0, 30.0)),
        (
            {"total": 200, "started": NOW, "finished": NOW + timedelta(seconds=4), "succeeded": 200},
            Progress(1.0, 50.0, None),
        ),
        ({"total": 0, "started": NOW, "finished": NOW}, Progress(1.0, None, None)),
    ],
)
def test_the_rest_is_estimated_from_the_rate_so_far(state: dict[str, Any], expected: Progress) -> None:
    """After ten seconds. Nothing is estimated without a rate, or for a batch that has ended."""
    assert progress(batch(**state), NOW + timedelta(seconds=10)) == expected


@pytest.mark.parametrize(
    ("succeeded", "failed", "expected"),
    [
        (2, 0, BatchStatus.SUCCEEDED),
        (1, 1, BatchStatus.PARTLY_FAILED),
        (0, 2, BatchStatus.FAILED),
    ],
)
def test_the_outcome_tells_whether_students_failed(succeeded: int, failed: int, expected: BatchStatus) -> None:
    """Some, all or none."""
    assert outcome(succeeded, failed) is expected


def test_only_queued_and_running_are_not_final() -> None:
    """A batch in any other status has ended."""
    assert [status for status in BatchStatus if not status.is_final] == [BatchStatus.QUEUED, BatchStatus.RUNNING]
