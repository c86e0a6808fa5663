"""Forecasts by the model that a tenant has learned, or by the base model with the tenant's intervals; and its risk."""

import logging
from dataclasses import dataclass
from functools import cached_property, lru_cache

from app.clock import Day
from app.errors import DependencyUnavailable, NotFound
from app.mastery.fact_store import StudentRecord
from app.predictions.daily_history import Floats
from app.predictions.forecast import Predicted
from app.predictions.forecast_errors import LEARNED
from app.predictions.forecast_model import BASE_MODEL, ForecastModel
from app.predictions.model_store import ModelStore
from app.predictions.origins import Origins, origins_today
from app.predictions.peer_store import KEPT, PeerStore
from app.predictions.peers import Peers
from app.predictions.risk_estimator import BASE_RISK, RiskEstimator
from app.predictions.stored_model import ModelContent, ModelSummary, ModelUnusable, require_usable

# What a process keeps of models. It lasts as long as the process, since a model of a version never changes.
SUMMARIES_KEPT = 200  # of 3 KB; 300 KB with a thousand cohorts
CONTENTS_KEPT = 8  # of 6 MB; decoding one takes 50 ms

_log = logging.getLogger(__name__)


class LearnedModels:
    """Which model answers for a tenant's cohort: one round trip. Thread-safe.

    A process asks each time, so that a promotion counts at once; it decodes each model once.
    """

    def __init__(self, models: ModelStore, peers: PeerStore, retention_days: int) -> None:
        self._models = models
        self._peers = peers
        self._retention_days = retention_days
        self._summary = lru_cache(SUMMARIES_KEPT)(self._usable_summary)
        self._content = lru_cache(CONTENTS_KEPT)(self._models.content)

    def __call__(self, tenant: str, cohort: str | None, day: Day) -> ForecastModel:
        """The model that answers for the students of a cohort on a day.

        Returns:
            The promoted model. The base model if there is none, if it is not usable, or if it has learned from facts of that
            day or later: it would know what came.
        """
        summary = self._promoted(tenant)
        if summary is None or summary.last_day >= day:
            return BASE_MODEL
        return _Answerer(summary.answerer(cohort), summary.version, tenant, cohort, day, self)

    def forecast(self, answerer: "_Answerer", record: StudentRecord, today: Day) -> Predicted:
        """Forecast a student's mastery in seven days.

        Raises DependencyUnavailable if the model is damaged: it is withdrawn then, and another one answers the next time.

        Returns:
            The forecast.
        """
        content = self._usable_content(answerer.tenant, answerer.version)
        of = origins_today([record.days], today, self._retention_days, answerer.peers if answerer.name == LEARNED else None)
        made = content.forecast(answerer.name, of)
        return Predicted(*(float(values[0]) for values in made))

    def risk(self, tenant: str, day: Day) -> RiskEstimator:
        """What estimates the risk of a tenant's students on a day.

        Returns:
            The learned risk of the promoted model. The table if there is none, if it is not usable or no better than the table,
            or if it has learned from facts of that day or later.
        """
        summary = self._promoted(tenant)
        if summary is None or not summary.risk_answers or summary.last_day >= day:
            return BASE_RISK
        return _LearnedRisk(LEARNED, summary.version, tenant, self)

    def risk_probability(self, tenant: str, version: str, of: Origins) -> Floats:
        """The learned probability of each origin. Raises DependencyUnavailable like ``forecast``.

        Returns:
            (origins), 0..1.
        """
        learned = self._usable_content(tenant, version).risk
        if learned is None:
            raise self._withdrawn(tenant, version, ModelUnusable(f"model {version} has lost its risk"))
        return learned.probability(of.features)

    def _promoted(self, tenant: str) -> ModelSummary | None:
        version = self._models.promoted(tenant)
        return self._summary(tenant, version) if version else None

    def _usable_content(self, tenant: str, version: str) -> ModelContent:
        try:
            return self._content(tenant, version)
        except (ModelUnusable, NotFound) as error:
            raise self._withdrawn(tenant, version, error) from error

    def _usable_summary(self, tenant: str, version: str) -> ModelSummary | None:
        try:
            summary = self._models.summary(tenant, version)
            require_usable(summary)
        except (ModelUnusable, NotFound) as error:
            _log.error("the base model answers for a tenant: %s", error)
            return None
        return summary

    def _withdrawn(self, tenant: str, version: str, error: Exception) -> DependencyUnavailable:
        """Go back to the model before, unless somebody has done so. Returns what makes the caller try again."""
        _log.error("a learned model is withdrawn: %s", error)
        try:
            self._models.roll_back(tenant, only_from=version)
        except NotFound:
            _log.info("another model answers already")
        return DependencyUnavailable("the learned model", "was withdrawn")

    def observed(self, tenant: str, cohort: str | None, day: Day) -> Peers | None:
        """What the cohort's students did before a day, lately; None if that is not known."""
        (found,) = self._peers.read(tenant, [cohort]) if cohort else [None]
        return found.peers if found and 0 < day - found.day <= KEPT.days else None


@dataclass(frozen=True)
class _Answerer:
    """A method of a model, for a cohort's students: of one request, or of a chunk of a batch."""

    name: str
    version: str
    tenant: str
    cohort: str | None
    day: Day
    models: LearnedModels

    @cached_property
    def peers(self) -> Peers | None:
        """What the cohort's students did lately, read once for all of them."""
        return self.models.observed(self.tenant, self.cohort, self.day)

    def week_ahead(self, record: StudentRecord, today: Day, _base: Predicted, /) -> Predicted:
        """Mastery in seven days."""
        return self.models.forecast(self, record, today)


@dataclass(frozen=True)
class _LearnedRisk:
    """The learned risk of a tenant."""

    name: str
    version: str
    tenant: str
    models: LearnedModels

    def probability(self, of: Origins, /) -> Floats:
        """What the model says."""
        return self.models.risk_probability(self.tenant, self.version, of)
