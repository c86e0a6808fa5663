"""Settings that would keep something about a student for longer than the retention are refused."""

import pytest

from app.config.settings import load_settings
from app.errors import SettingsError

RETENTION = "30"


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("MASTERY_EVENTS_RETENTION_DAYS", 29, 30),
        ("MASTERY_DLQ_RETENTION_DAYS", 29, 30),
        ("MASTERY_RESULTS_RETENTION_DAYS", 29, 30),
        ("MASTERY_BATCH_RETENTION_HOURS", 360, 361),
        ("MASTERY_JWT_MAX_SECONDS", 2_592_000, 2_592_001),
    ],
)
def test_what_is_kept_longer_is_refused(name: str, allowed: int, refused: int) -> None:
    """The error names the setting and the retention."""
    base = {"MASTERY_RETENTION_DAYS": RETENTION, "MASTERY_DLQ_RETENTION_DAYS": "7"}
    load_settings(base | {name: str(allowed)})
    with pytest.raises(SettingsError) as error:
        load_settings(base | {name: str(refused)})
    assert str(error.value).startswith(f"{name}: {refused} ")
    assert "MASTERY_RETENTION_DAYS (30)" in str(error.value)


def test_answers_of_requests_too() -> None:
    """Their own limit is 30 days, which is longer than the shortest retention."""
    base = {
        "MASTERY_RETENTION_DAYS": "14",
        "MASTERY_DLQ_RETENTION_DAYS": "7",
        "MASTERY_JWT_MAX_SECONDS": "86400",
        "MASTERY_IDEMPOTENCY_TTL_SECONDS": str(14 * 86_400),
    }
    load_settings(base)
    with pytest.raises(SettingsError, match="MASTERY_IDEMPOTENCY_TTL_SECONDS: 1209601 is longer than"):
        load_settings(base | {"MASTERY_IDEMPOTENCY_TTL_SECONDS": str(14 * 86_400 + 1)})


def test_a_shorter_retention_names_all_that_have_to_follow() -> None:
    """With the defaults of the others: the dead letters and the tokens."""
    with pytest.raises(SettingsError) as error:
        load_settings({"MASTERY_RETENTION_DAYS": "14"})
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
        "MASTERY_DLQ_RETENTION_DAYS",
        "MASTERY_JWT_MAX_SECONDS",
    ]


def test_the_audit_trail_has_a_retention_of_its_own() -> None:
    """It may be longer."""
    load_settings({"MASTERY_AUDIT_RETENTION_DAYS": "3650"})
