"""The composition root: builds an engine from settings. Called by each process, never at import."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import redis

from app.analytics.cohort_report import Reporting
from app.analytics.cohort_trend import Trending
from app.analytics.published_store import PublishedStore
from app.analytics.trend_store import TrendStore
from app.audit.trail import AuditTrail
from app.batches.batch_erasure import BatchErasure
from app.batches.batch_export import BatchExport
from app.batches.batch_store import BatchQuotas, BatchStore
from app.batches.callback_store import CallbackStore
from app.batches.webhook_secrets import WebhookSecrets
from app.clock import Clock, system_clock
from app.config.consent_settings import required_purposes
from app.config.quotas import Quotas
from app.config.settings import Settings, load_settings
from app.consent.consent_store import ConsentStore
from app.errors import SettingsError
from app.events.bridge_heartbeats import Bridges
from app.events.event_quota import EventQuota
from app.events.event_totals import EventTotals
from app.events.ledger import Ledger
from app.events.letter_keys import LetterKeys
from app.events.losses import Losses
from app.events.positions import Positions
from app.health.malformed_messages import MalformedMessages
from app.health.removal_counts import RemovalCounts
from app.health.sweep_heartbeat import Sweeps
from app.idempotency.idempotency_keys import IdempotencyKeys
from app.mastery.expired_records import ExpiredRecords
from app.mastery.fact_export import FactExport
from app.mastery.fact_store import FactStore
from app.mastery.outbox import Outbox
from app.mastery.ranking_store import RankingStore
from app.mastery.score_store import ScoreStore
from app.mastery.stores import MasteryStores, TenantStore
from app.outage import Outages
from app.predictions.accuracy_store import AccuracyStore
from app.predictions.at_risk import RiskListing
from app.predictions.cohort_history import FactSources
from app.predictions.current_forecast import Forecasting
from app.predictions.forecast_cache import ForecastCache
from app.predictions.forecast_model import base_intervals
from app.predictions.forecast_records import ForecastRecords
from app.predictions.learned_forecasts import LearnedModels
from app.predictions.model_store import ModelStore
from app.predictions.peer_store import PeerStore
from app.predictions.risk_store import RiskStore
from app.predictions.train_tenant_model import LearningStores, Training
from app.privacy.erasure_store import ErasureStore
from app.privacy.student_data import Exportable, StudentData
from app.privacy.student_keys import StudentKeys
from app.purposes import Purpose
from app.recommendations.wording import Wording, load_wording
from app.security.revocations import Revocations
from app.security.signing_keys import SigningKeys
from app.security.task_requests import TaskRequests
from app.storage.ranking_keys import rule_of
from app.storage.redis_client import connect


@dataclass(frozen=True)
class Engine:
    """Everything a process needs to run the use cases. Must not be shared across a fork."""

    settings: Settings
    redis: redis.Redis
    mastery: MasteryStores
    fact_export: FactExport
    event_totals: EventTotals
    outbox: Outbox
    ledger: Ledger
    letter_keys: LetterKeys
    positions: Positions
    losses: Losses
    bridges: Bridges
    event_quota: EventQuota
    task_requests: TaskRequests
    batches: BatchStore
    batch_erasure: BatchErasure
    batch_export: BatchExport
    callbacks: CallbackStore
    webhook_secrets: WebhookSecrets
    audit: AuditTrail
    consents: ConsentStore
    idempotency_keys: IdempotencyKeys
    malformed_messages: MalformedMessages
    removal_counts: RemovalCounts
    sweeps: Sweeps
    signing_keys: SigningKeys
    revocations: Revocations
    erasures: ErasureStore
    student_keys: StudentKeys
    wording: Wording
    forecasts: ForecastCache
    forecast_records: ForecastRecords
    clock: Clock
    outages: Outages = field(default_factory=lambda: Outages(logging.getLogger(__name__)))

    @cached_property
    def learning(self) -> LearningStores:
        """The stores of learned models."""
        prefix = self.settings.key_prefix
        return LearningStores(ModelStore(self.redis, prefix, self.settings.retention_days), PeerStore(self.redis, prefix))

    @cached_property
    def learned_models(self) -> LearnedModels:
        """The learned models that this process has decoded."""
        return LearnedModels(*self.learning, self.settings.retention_days)

    @property
    def forecasting(self) -> Forecasting:
        """What forecasts are made with."""
        models = self.learned_models
        return Forecasting(self.mastery, self.consents, self.forecasts, self.forecast_records, models, base_intervals())

    @property
    def training(self) -> Training:
        """What models are trained with."""
        return Training(FactSources(self.mastery, self.consents), *self.learning)

    @cached_property
    def risk_lists(self) -> RiskStore:
        """The lists of students at risk."""
        return RiskStore(self.redis, self.settings.key_prefix, self.settings.forecast_cache_seconds)

    @property
    def risk_listing(self) -> RiskListing:
        """What lists of students at risk are made with."""
        sources = FactSources(self.mastery, self.consents)
        return RiskListing(sources, self.learned_models.risk, self.learned_models.observed, self.risk_lists)

    @cached_property
    def published(self) -> PublishedStore:
        """The statistics of cohorts that students see."""
        settings = self.settings
        return PublishedStore(self.redis, settings.key_prefix, _rule(settings), settings.retention_days)

    @cached_property
    def trends(self) -> TrendStore:
        """The weekly trends of cohorts."""
        return TrendStore(self.redis, self.settings.key_prefix, self.settings.forecast_cache_seconds)

    @property
    def reporting(self) -> Reporting:
        """What reports of cohorts are made with."""
        return Reporting(self.risk_listing, Trending(FactSources(self.mastery, self.consents), self.trends))

    @property
    def accuracy(self) -> AccuracyStore:
        """How far forecasts were off; a store that only reads."""
        return AccuracyStore(self.redis, self.settings.key_prefix, self.settings.forecast_accuracy_days)

    @property
    def student_data(self) -> Mapping[str, StudentData]:
        """The stores that hold something of students, besides the facts, by kind of data."""
        return {
            "batches": self.batch_erasure,
            "forecasts": self.forecasts,
            "recorded forecasts": self.forecast_records,
            "consent": self.consents,
            "outbox": self.outbox,
            "dead letters": self.letter_keys,
            "malformed messages": self.malformed_messages,
        }

    @property
    def exported_data(self) -> Mapping[str, Exportable]:
        """What an export of a student has, by name. Those that are read fast are first."""
        return {
            "standing": self.fact_export.standing,
            "days": self.fact_export.days,
            "consent": self.consents.export,
            "recorded_forecasts": self.forecast_records.export,
            "batch_results": self.batch_export.results,
        }


def bootstrap(settings: Settings | None = None, *, clock: Clock = system_clock) -> Engine:
    """Build an engine; it connects to Redis on first use. Raises SettingsError without a Redis URL, or for wrong texts."""
    settings = settings or load_settings()
    client = _client(settings)
    audit = AuditTrail(client, settings.key_prefix, settings.audit_key, settings.audit_key_previous)
    batches, consents = _batches(client, settings), _consents(client, settings)
    return Engine(
        settings=settings,
        redis=client,
        mastery=_mastery_stores(client, settings, audit),
        fact_export=FactExport(client, settings.key_prefix),
        event_totals=EventTotals(client, settings.key_prefix),
        outbox=Outbox(client, settings.key_prefix),
        ledger=Ledger(client, settings.key_prefix),
        letter_keys=LetterKeys(client, settings.key_prefix, settings.retention_days, audit.pseudonyms),
        positions=Positions(client, settings.key_prefix),
        losses=Losses(client, settings.key_prefix),
        event_quota=EventQuota(client, settings.key_prefix, Quotas(settings.quota_events)),
        bridges=Bridges(client, settings.key_prefix),
        task_requests=TaskRequests(client, settings.key_prefix),
        batches=batches,
        batch_erasure=BatchErasure(client, settings.key_prefix, batches),
        batch_export=BatchExport(client, settings.key_prefix),
        callbacks=CallbackStore(client, settings.key_prefix),
        webhook_secrets=WebhookSecrets(client, settings.key_prefix),
        audit=audit,
        consents=consents,
        idempotency_keys=_idempotency_keys(client, settings),
        malformed_messages=MalformedMessages(client, settings.key_prefix),
        removal_counts=RemovalCounts(client, settings.key_prefix),
        sweeps=Sweeps(client, settings.key_prefix),
        erasures=ErasureStore(client, settings.key_prefix, settings.audit_retention_days),
        student_keys=StudentKeys(client, settings.key_prefix),
        wording=load_wording(settings.wording_file),
        forecasts=ForecastCache(client, settings.key_prefix, settings.forecast_cache_seconds),
        forecast_records=ForecastRecords(client, settings.key_prefix, settings.forecast_accuracy_days),
        signing_keys=SigningKeys(settings.jwt_jwks_url),
        revocations=Revocations(client, settings.key_prefix, audit.pseudonyms),
        clock=clock,
    )


def _client(settings: Settings) -> redis.Redis:
    if not settings.redis_url:
        raise SettingsError("MASTERY_REDIS_URL is not set; `mastery up` starts a stack with an embedded one")
    return connect(settings)


def _batches(client: redis.Redis, settings: Settings) -> BatchStore:
    quotas = BatchQuotas(Quotas(settings.quota_batch_students), Quotas(settings.quota_batches))
    return BatchStore(client, settings.key_prefix, quotas)


def _consents(client: redis.Redis, settings: Settings) -> ConsentStore:
    required = required_purposes(settings.consent_required)
    return ConsentStore(client, settings.key_prefix, settings.retention_days, required)


def _idempotency_keys(client: redis.Redis, settings: Settings) -> IdempotencyKeys:
    quotas = Quotas(settings.quota_idempotency_bytes)
    return IdempotencyKeys(client, settings.key_prefix, settings.idempotency_ttl_seconds, quotas)


def _mastery_stores(client: redis.Redis, settings: Settings, audit: AuditTrail) -> MasteryStores:
    prefix, quotas, rule = settings.key_prefix, Quotas(settings.quota_students), _rule(settings)
    return MasteryStores(
        FactStore(client, prefix, settings.retention_days, quotas, audit.pseudonyms),
        ScoreStore(client, prefix, rule),
        TenantStore(client, prefix),
        ExpiredRecords(client, prefix, settings.retention_days),
        RankingStore(client, prefix, rule),
    )


def _rule(settings: Settings) -> str:
    """Who is in statistics."""
    return rule_of(is_consent_required=Purpose.COHORT_STATISTICS in required_purposes(settings.consent_required))
