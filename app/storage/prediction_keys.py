"""The keys of forecasts and their accuracy: a part of ``keys.py``, which says more."""

from app.storage.key_kinds import kind


class PredictionKeys:
    """The keys of predictions."""

    _prefix: str

    @kind(
        "string",
        "a student's forecast, and what it depends on; kept for `MASTERY_FORECAST_CACHE_SECONDS`",
        personal=True,
    )
    def forecast(self, tenant: str, student_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:forecast:{student_id}"

    @kind("string", "claim: a forecast of the student is being computed; expires after three seconds", personal=True)
    def forecast_claim(self, tenant: str, student_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:forecasting:{student_id}"

    @kind("hash", "student → what was forecast for that day; until it is scored, at most three days later", personal=True)
    def recorded_forecasts(self, tenant: str, day: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:recorded-forecasts:{day}"

    @kind("set", "days for which forecasts are recorded")
    def forecast_days(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:forecast-days"

    @kind(
        "hash",
        "how far forecasts were off, by day and model: described in `settle_forecasts.lua`; kept for "
        "`MASTERY_FORECAST_ACCURACY_DAYS`",
    )
    def accuracy(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:accuracy"

    @kind("hash", "the same of the students of a cohort")
    def cohort_accuracy(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:accuracy:{cohort_id}"
