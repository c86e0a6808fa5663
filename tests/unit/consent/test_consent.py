"""What a decision about consent is, which one holds, and how many are kept."""

from datetime import UTC, datetime

import pytest

from app.consent.consent import MAX_HISTORY, Author, Consent, Decision, bounded
from app.purposes import Purpose

NOW = datetime(2026, 10, 28, 12, 0, 0, 250_000, tzinfo=UTC)
BY = Author("student", "9f86d081884c7d659a2feaa0")
PREDICTIONS, STATISTICS = Purpose.PREDICTIONS, Purpose.COHORT_STATISTICS


def decision(purpose: str = PREDICTIONS, *, given: bool = False, at: int = 1) -> Decision:
    return Decision(purpose, given, at, *BY)


@pytest.mark.parametrize("purpose", Purpose)
def test_without_a_decision_the_setting_counts(purpose: Purpose) -> None:
    """Every purpose is allowed, except for those that need a recorded consent."""
    assert Consent().allows(purpose)
    assert not Consent(required=frozenset({purpose})).allows(purpose)
    assert Consent(required=frozenset(Purpose) - {purpose}).allows(purpose)
    assert Consent().latest(purpose) is None


def test_the_latest_decision_holds() -> None:
    """For its purpose only, and whatever the setting says."""
    consent = Consent([decision(given=True, at=1), decision(STATISTICS, given=False, at=2), decision(given=False, at=3)])
    assert not consent.allows(PREDICTIONS)
    assert not consent.allows(STATISTICS)
    assert consent.allows(Purpose.RECOMMENDATIONS)
    assert consent.latest(PREDICTIONS) == decision(given=False, at=3)
    assert Consent([decision(given=True)], frozenset(Purpose)).allows(PREDICTIONS)


def test_what_is_new_has_its_moment_and_its_author() -> None:
    """In milliseconds."""
    [new] = Consent().changed({PREDICTIONS: False}, BY, NOW)
    assert new == Decision("predictions", given=False, at=1_793_188_800_250, role="student", who=BY.who)


def test_only_differences_are_new() -> None:
    """Saying the same again changes nothing; the first time is a decision, even if it says what holds by default."""
    consent = Consent([decision(given=False)])
    assert consent.changed({PREDICTIONS: False}, BY, NOW) == []
    assert consent.changed({}, BY, NOW) == []
    assert [each.purpose for each in consent.changed({PREDICTIONS: True, STATISTICS: True}, BY, NOW)] == [
        "predictions",
        "cohort_statistics",
    ]


def test_the_oldest_decisions_are_dropped() -> None:
    """Beyond the bound."""
    history = [decision(at=number) for number in range(MAX_HISTORY + 3)]
    assert bounded(history) == history[3:]
    assert bounded(history[:MAX_HISTORY]) == history[:MAX_HISTORY]


def test_a_decision_that_holds_is_never_dropped() -> None:
    """However old it is, and also one about a purpose of another version."""
    old = [decision(STATISTICS, at=1), decision("research", at=2)]
    kept = bounded([decision(at=0), *old, *(decision(at=number) for number in range(3, 2 * MAX_HISTORY))])
    assert (len(kept), kept[:2]) == (MAX_HISTORY, old)
    assert not Consent(kept).allows(STATISTICS)
