"""Maintenance in slices: each makes progress, and says whether something is left."""

from collections.abc import Iterator

import pytest

from tasks import slices
from tasks.slices import finish_in_slice


def steps(count: int, done: list[int]) -> Iterator[None]:
    """So many steps, which are written down when they are done."""
    for number in range(count):
        done.append(number)
        yield


def test_a_slice_with_time_enough_does_everything() -> None:
    """Nothing is left, with or without work."""
    done: list[int] = []
    assert finish_in_slice(steps(3, done))
    assert done == [0, 1, 2]
    assert finish_in_slice(())


def test_a_slice_without_time_makes_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a step takes, so that the work ends in the end."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    done: list[int] = []
    assert not finish_in_slice(steps(3, done))
    assert done == [0]
