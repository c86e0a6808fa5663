"""The setting of consent."""

import pytest

from app.config.consent_settings import required_purposes
from app.config.settings import load_settings
from app.errors import SettingsError
from app.purposes import Purpose


def test_purposes_that_need_a_recorded_consent() -> None:
    """None by default; several are separated by commas."""
    assert required_purposes(load_settings({}).consent_required) == frozenset()
    settings = load_settings({"MASTERY_CONSENT_REQUIRED": "predictions, cohort_statistics"})
    assert required_purposes(settings.consent_required) == {Purpose.PREDICTIONS, Purpose.COHORT_STATISTICS}


@pytest.mark.parametrize("wrong", ["all", "Predictions", "predictions recommendations", "predictions=t-1"])
def test_what_is_no_purpose_is_refused(wrong: str) -> None:
    """The message names it, and those that there are."""
    with pytest.raises(SettingsError, match=f"^MASTERY_CONSENT_REQUIRED: {wrong} is refused; there are predictions, rec"):
        load_settings({"MASTERY_CONSENT_REQUIRED": f"recommendations, {wrong}"})
