"""Reasons why a student needs help."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from app.predictions.intervention import Reason, ReasonCode, Signs, reasons

FINE = Signs(slope=0.0, inactive_days=0, completed=10, total=10, quiz=0.9, without_evidence=[])


@dataclass
class Case:
    signs: Signs
    code: ReasonCode
    text: str


CASES = [
    Case(replace(FINE, slope=-0.0123), ReasonCode.FALLING, "Mastery is falling by 0.012 a day."),
    Case(replace(FINE, inactive_days=9), ReasonCode.INACTIVE, "Inactive for 9 days."),
    Case(replace(FINE, completed=7), ReasonCode.MISSED_EXERCISES, "Exercises not done: 3 of 10."),
    Case(replace(FINE, quiz=0.354), ReasonCode.LOW_QUIZ, "Only 35% of the quiz answers are correct."),
    Case(replace(FINE, without_evidence=["quiz", "quality"]), ReasonCode.NO_EVIDENCE, "No evidence at present: quiz, quality."),
    Case(FINE, ReasonCode.LOW_MASTERY, "Mastery in a week is expected to be 0.46, below 0.50."),
]


@pytest.mark.parametrize("case", CASES, ids=[case.code for case in CASES])
def test_each_reason(case: Case) -> None:
    """Only if it holds; without any other, the predicted score is the reason."""
    assert reasons(case.signs, 0.4567, 0.5) == [Reason(case.code, case.text)]


def test_all_at_once() -> None:
    signs = Signs(slope=-0.1, inactive_days=7, completed=0, total=1, quiz=0.0, without_evidence=["quality"])
    assert [each.code for each in reasons(signs, 0.1, 0.5)] == list(ReasonCode)[:-1]


@pytest.mark.parametrize(
    "signs", [replace(FINE, slope=-0.002), replace(FINE, inactive_days=6), replace(FINE, quiz=0.5), replace(FINE, quiz=None)]
)
def test_what_is_no_reason(signs: Signs) -> None:
    """A slope within the noise, a weekend, half of the answers, no quiz."""
    assert [each.code for each in reasons(signs, 0.3, 0.5)] == [ReasonCode.LOW_MASTERY]


@pytest.mark.parametrize(("predicted", "threshold"), [(0.5, 0.5), (0.7, 0.5), (0.0, 0.0)])
def test_no_help_is_needed(predicted: float, threshold: float) -> None:
    assert reasons(CASES[0].signs, predicted, threshold) == []
