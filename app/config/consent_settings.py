"""The setting of consent, and its check."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.config.field_types import listed
from app.purposes import Purpose


@dataclass(frozen=True, kw_only=True)
class ConsentSettings:
    """The part of ``app/config/settings.py`` about consent."""

    # Purposes that need a recorded consent: predictions, recommendations, cohort_statistics. The others are allowed until the
    # student withdraws, which fits a legal ground with a right to object: docs/decisions/0024.
    consent_required: str = ""


def required_purposes(setting: str) -> frozenset[Purpose]:
    """The purposes of ``consent_required``. Raises ValueError."""
    return frozenset(map(Purpose, listed(setting)))


def consent_contradictions(settings: ConsentSettings) -> Iterator[str]:
    """Purposes that do not exist."""
    if unknown := set(listed(settings.consent_required)) - {*Purpose}:
        yield f"MASTERY_CONSENT_REQUIRED: {', '.join(sorted(unknown))} is refused; there are {', '.join(Purpose)}"
