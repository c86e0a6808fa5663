"""Trains a model on what is stored of a tenant, tests it on the latest weeks, and lets it answer by what was better there."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import NamedTuple, TypeAlias

from app.clock import Day, day_number
from app.errors import DependencyUnavailable, EngineError
from app.predictions.cohort_history import FactSources, cohort_history
from app.predictions.forecast_errors import BASE, FEWEST_FORECASTS, METHODS, ForecastErrors, errors_of
from app.predictions.gate import answerer
from app.predictions.model_store import Attempt, ModelStore
from app.predictions.observe_peers import observe_peers
from app.predictions.origins import STUDENTS_AT_ONCE, Origins
from app.predictions.past_errors import error_quantiles
from app.predictions.peer_store import PeerStore
from app.predictions.split_origins import FEWEST_RETENTION_DAYS, drawn_origins, pooled, split_columns, weeks_of
from app.predictions.stored_model import FORMAT, BackTest, ModelContent, ModelSummary, base_points, version_of
from app.predictions.train_model import (
    FEWEST_STUDENTS,
    FEWEST_TRAINING_ORIGINS,
    TRAINING_ORIGINS,
    Examples,
    Trained,
    examples,
    students_of,
    train_model,
    training_steps,
)
from app.predictions.train_risk_model import risk_training_steps
from app.predictions.train_tenant_risk import RiskDrawn, TrainedTenantRisk, drawn_risk, tenant_risk_steps, train_tenant_risk
from app.predictions.training_lease import TrainingRuns, prolong
from app.storage.lease import Lease

# Students whose facts are read: a minute, and more do not make a model better. Of a large tenant, some of each cohort.
MOST_STUDENTS = 100_000
# Cohorts with a test of their own: bounds the record to 300 KB. Those beyond get the tenant's verdict.
MOST_COHORTS = 1_000
# Origins that a model is tested on, 80 MB; more with more than 400 cohorts, so that each has enough for a verdict.
TEST_ORIGINS = 200_000

CALIBRATED = "promoted; the base model answers, with intervals from the tenant's past errors"

OnStep: TypeAlias = Callable[[int, int], None]  # steps done, and of how many


class TooLittleToLearn(EngineError):
    """The engine has too little of the tenant to train or to test a model."""


class TookTooLong(EngineError):
    """A training is ended, since it has taken too long."""


class LearningStores(NamedTuple):
    """Where models go, and what they look at besides a student's facts."""

    models: ModelStore
    peers: PeerStore


class Training(NamedTuple):
    """What models are trained with: where facts are read, where models go, and what they look at besides a student's facts."""

    sources: FactSources
    models: ModelStore
    peers: PeerStore


class _Read(NamedTuple):
    """What was read of a tenant: by cohort, what a model learns from and is tested on, for risk too; of how many students."""

    learned_from: dict[str, Examples]
    tested_on: dict[str, Origins]
    risk: dict[str, RiskDrawn]
    students: int


def train_tenant_model(
    tenant: str,
    *,
    using: Training,
    now: datetime,
    on_step: OnStep = lambda _done, _of: None,
    pause_days: int | None = None,
) -> ModelSummary:
    """Train, test and store a model, which answers from now on: by what it has learned where that is better (``gate.py``).

    Elsewhere the base model answers, with the intervals that the tenant's past errors give.

    What came of it is noted; an error too, unless Redis did not answer. ``pause_days``: only so long after the latest one.

    Returns:
        How it was made and tested.

    Raises:
        TrainingRuns: Another process trains a model of this tenant or has just done so, or all were deleted meanwhile.
    """
    models, today = using.models, day_number(now)
    lease = models.lease(tenant)
    if not lease.hold(0):
        raise TrainingRuns(f"another process trains a model of {tenant}; if it has died, try again in a quarter of an hour")
    try:
        latest = models.latest_attempt(tenant)
        if pause_days is not None and latest is not None and not latest.is_due(today, pause_days):
            raise TrainingRuns(f"another process has just trained a model of {tenant}")
        return _attempt(tenant, using, lease, now, on_step)
    finally:
        lease.release()


def _attempt(tenant: str, using: Training, lease: Lease, now: datetime, on_step: OnStep) -> ModelSummary:
    """Train, and note what came of it."""
    models, today, outcome, failed = using.models, day_number(now), "", False

    def step(done: int, of: int) -> None:
        prolong(lease, tenant)
        on_step(done, of)

    try:
        summary, content = _train(tenant, using.sources, now, step)
        models.put(summary, content, by=lease)
        observed = observe_peers(tenant, sources=using.sources, store=using.peers, today=today, by=lease)
        deque(observed, maxlen=0)  # forecasts need it
        models.promote(tenant, summary.version, by=lease)
        outcome = "promoted" if summary.learned_answers or summary.risk_answers else CALIBRATED
    except TooLittleToLearn as error:
        models.retire(tenant, by=lease)  # it was trained on what is gone
        outcome = str(error)
        raise
    except (TrainingRuns, DependencyUnavailable):
        raise  # it is tried again soon
    except Exception as error:
        outcome, failed = _failure(error), True
        raise
    finally:
        if outcome:
            models.note_attempt(tenant, Attempt(today, outcome, failed), by=lease)
    return summary


def _failure(error: Exception) -> str:
    """What operators read of an error: its message may quote data."""
    return "failed: it took too long" if isinstance(error, TookTooLong) else f"failed: {type(error).__name__}"


def _train(tenant: str, sources: FactSources, now: datetime, on_step: OnStep) -> tuple[ModelSummary, ModelContent]:
    today = day_number(now)
    cohorts = sources.mastery.scores.cohorts(tenant)[:MOST_COHORTS]
    _require_possible(cohorts, sources.mastery.facts.retention_days)
    expected = len(cohorts) + training_steps(len(cohorts)) + risk_training_steps(len(cohorts))
    read = _read(tenant, cohorts, sources, today, lambda done: on_step(done, expected))
    learned_from = pooled(read.learned_from)
    trained_with = sum(len(each.real.score) for each in learned_from.values())
    _require_enough(trained_with, sum(map(students_of, read.learned_from.values())), read.tested_on.values())
    steps = training_steps(len(learned_from)) + tenant_risk_steps(read.risk)
    done = iter(range(1, steps + 1))

    def step() -> None:
        on_step(len(cohorts) + next(done), len(cohorts) + steps)

    trained = train_model(learned_from, step)
    risk = train_tenant_risk(read.risk, step)
    content = _content(trained, risk)
    overall, by_cohort = _tests(content, read.tested_on)
    summary = ModelSummary(
        format=FORMAT,
        version=version_of(now),
        tenant=tenant,
        trained_at=now,
        last_day=today - 1,
        students=read.students,
        origins=trained_with,
        features=trained.model.features,
        overall=overall,
        cohorts=by_cohort,
        risk=risk.test if risk else None,
    )
    return summary, content


def _read(tenant: str, cohorts: list[str], sources: FactSources, today: Day, on_cohort: Callable[[int], None]) -> _Read:
    """Read the cohorts one after another, and keep of each only what is drawn."""
    read, retention_days = _Read({}, {}, {}, 0), sources.mastery.facts.retention_days
    number = max(len(cohorts), 1)
    most = min(STUDENTS_AT_ONCE, max(1, MOST_STUDENTS // number))
    to_test = max(TEST_ORIGINS // number, FEWEST_FORECASTS)
    for at, cohort in enumerate(cohorts):
        history = cohort_history(tenant, cohort, most, sources=sources, today=today)
        columns = split_columns(history.days)
        if history.students and len(columns.training):
            seed = today + at
            learned_from = examples(history, retention_days, columns.training, TRAINING_ORIGINS // number, seed)
            tested_on = drawn_origins(history, retention_days, columns.test, to_test, seed)
            read.learned_from[cohort], read.tested_on[cohort] = learned_from, tested_on
            if (risk := drawn_risk(history, retention_days, number, to_test, seed)) is not None:
                read.risk[cohort] = risk
            read = read._replace(students=read.students + history.students)
        on_cohort(at + 1)
    return read


def _require_possible(cohorts: list[str], retention_days: int) -> None:
    if retention_days < FEWEST_RETENTION_DAYS:
        kept = f"facts are kept for {retention_days} days (MASTERY_RETENTION_DAYS)"
        raise TooLittleToLearn(
            f"{kept}; a model needs {FEWEST_RETENTION_DAYS}, to learn from some and to be tested on later ones"
        )
    if not cohorts:
        raise TooLittleToLearn("no student has a cohort; a model learns from the students of cohorts")


def _require_enough(trained_with: int, students: int, tested_on: Iterable[Origins]) -> None:
    wanted = (
        (trained_with, FEWEST_TRAINING_ORIGINS, "students and days to learn from"),
        (students, FEWEST_STUDENTS, "students to learn from"),
        (sum(len(each.score) for each in tested_on), FEWEST_FORECASTS, "students and days to test a model"),
    )
    for number, fewest, purpose in wanted:
        if number < fewest:
            raise TooLittleToLearn(f"there are {number:,} {purpose}; {fewest:,} are needed")


def _content(trained: Trained, risk: TrainedTenantRisk | None) -> ModelContent:
    """The model, the past errors of the simpler methods on what it learned from, and the risk."""
    of = trained.unseen
    return ModelContent(
        trained.model,
        error_quantiles(of.score, of.outcome, of.group, trained.part),
        error_quantiles(base_points(of), of.outcome, of.group, trained.part),
        risk.model if risk else None,
    )


def _tests(content: ModelContent, tested_on: Mapping[str, Origins]) -> tuple[BackTest, dict[str, BackTest]]:
    """The back-test on all students, and on those of each cohort with enough forecasts: fewer would tell much about each."""
    by_week = [[_errors(content, of) for of in weeks] for weeks in weeks_of(list(tested_on.values()))]
    overall = [_sum(errors) for errors in zip(*by_week, strict=True)]
    cohorts = {
        cohort: BackTest(_sum(weeks), verdict)
        for cohort, weeks in zip(tested_on, by_week, strict=True)
        if (verdict := answerer(weeks)) is not None
    }
    return BackTest(_sum(overall), answerer(overall) or BASE), cohorts


def _errors(content: ModelContent, of: Origins) -> dict[str, ForecastErrors]:
    made = {method: content.forecast(method, of) for method in METHODS}
    return {method: errors_of(each.point, of.outcome, each.lower, each.upper) for method, each in made.items()}


def _sum(parts: Sequence[Mapping[str, ForecastErrors]]) -> dict[str, ForecastErrors]:
    return {method: reduce(ForecastErrors.plus, (each[method] for each in parts), ForecastErrors()) for method in METHODS}
