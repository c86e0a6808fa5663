"""The keys of forecasts, their accuracy, and the models that make them: a part of ``keys.py``, which says more."""

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

    @kind(
        "zset",
        "students at risk: student → probability; kept for `MASTERY_FORECAST_CACHE_SECONDS`, and part of the cohort's ranking",
        personal=True,
    )
    def at_risk(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:at-risk:{cohort_id}"

    @kind("string", "when this list was computed, and by which model; kept as long")
    def at_risk_list(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:at-risk-list:{cohort_id}"

    @kind("string", "claim: this list is being computed; expires after ten seconds")
    def at_risk_claim(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:at-risk-claim:{cohort_id}"

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

    # Learned models; none is personal: each number in them comes from at least 200 days of students.

    @kind(
        "hash",
        "version of a learned model → when and from what it was trained, and its back-test; the latest ten; kept for "
        "`MASTERY_RETENTION_DAYS`",
    )
    def models(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:models"

    @kind(
        "string",
        "a learned model: trees and past errors, each from at least 200 days of students; JSON, compressed by zlib; kept for "
        "`MASTERY_RETENTION_DAYS`",
    )
    def model(self, tenant: str, version: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:model:{version}"

    @kind("hash", "which learned model answers, which did before, and how the latest training ended")
    def model_use(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:model-use"

    @kind("string", "lease: a model is being trained; expires after fifteen minutes")
    def training(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:training"

    @kind("string", "lease: a worker trains models; expires after fifteen minutes")
    def trainer(self) -> str:
        return f"{self._prefix}:{{.models}}:trainer"

    @kind("string", "what the students of a cohort did until yesterday: shares of ten or more; kept for three days")
    def peers(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:peers:{cohort_id}"
