"""Tasks that forecast mastery for callers, and compare forecasts with what came."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import msgspec

from app.audit.entry import timestamp
from app.clock import moment_of
from app.errors import ConsentWithdrawn, NotFound
from app.predictions.at_risk import students_at_risk
from app.predictions.current_forecast import current_forecast
from app.predictions.forecast import Forecast
from app.predictions.predict_next_week import next_week
from app.predictions.predict_trajectory import trajectory
from app.predictions.score_forecasts import score_forecasts
from app.security.access import Action
from tasks.audit import audited, note_listed, note_scored
from tasks.celery import app, engine, enqueue
from tasks.slices import finish_in_slice
from tasks.timing import TASK_SECONDS

# Students per step: some milliseconds of Redis, and as many of computing.
SCORE_BATCH = 200


@app.task(
    name="predictions.next_week",
    throws=(NotFound, ConsentWithdrawn),
    max_retries=3,  # a caller waits, so report the failure after some seconds
    soft_time_limit=TASK_SECONDS,
)
def predict_next_week(tenant: str, student_id: str, signed_actor: Sequence[str] = ()) -> dict[str, Any]:
    """Predict a student's mastery in seven days; the audit trail names the ``signed_actor``."""
    forecast = _audited_forecast(tenant, Action.PREDICT_NEXT_WEEK, student_id, [], signed_actor)
    return _answer(next_week(student_id, forecast, engine().settings.intervention_threshold))


@app.task(
    name="predictions.trajectory",
    throws=(NotFound, ConsentWithdrawn),
    max_retries=3,  # as above
    soft_time_limit=TASK_SECONDS,
)
def predict_trajectory(tenant: str, student_id: str, days: int, signed_actor: Sequence[str] = ()) -> dict[str, Any]:
    """Predict a student's mastery on each of the next days; the audit trail names the ``signed_actor``."""
    forecast = _audited_forecast(tenant, Action.PREDICT_TRAJECTORY, student_id, [days], signed_actor)
    return _answer(trajectory(student_id, forecast, days, engine().settings.intervention_threshold))


@app.task(
    name="predictions.at_risk",
    throws=(NotFound,),
    max_retries=3,  # as above
    soft_time_limit=TASK_SECONDS,
)
def list_at_risk(tenant: str, cohort_id: str, signed_actor: Sequence[str] = ()) -> dict[str, Any]:
    """Compute and store the cohort's list of students at risk, unless there is one; the audit trail names the ``signed_actor``.

    Returns:
        About the list. No students: an erasure would not find them in the result.
    """
    served = engine()
    actor = served.audit.actor_signer.verify([tenant, Action.LIST_AT_RISK, cohort_id], signed_actor)
    note = partial(note_listed, tenant, cohort_id, actor, Action.LIST_AT_RISK)
    listed = students_at_risk(tenant, cohort_id, using=served.risk_listing, now=served.clock(), note=note)
    about = listed.about
    return {
        "cohort_id": cohort_id,
        "computed_at": timestamp(moment_of(about.computed_at)),
        "model": about.model,
        "model_version": about.model_version,
        "total": listed.students,
    }


@app.task(name="predictions.score", ignore_result=True, soft_time_limit=TASK_SECONDS)
def score() -> None:
    """Score the forecasts whose day is over, in slices; beat sends this every hour."""
    served = engine()
    scored: Counter[str] = Counter()

    def work() -> Iterator[None]:
        steps = score_forecasts(
            records=served.forecast_records,
            stores=served.mastery,
            consents=served.consents,
            now=served.clock(),
            batch=SCORE_BATCH,
        )
        for tenant, forecasts in steps:
            scored[tenant] += forecasts
            yield

    try:
        is_finished = finish_in_slice(work())
    finally:
        for tenant, forecasts in scored.items():
            note_scored(tenant, forecasts)
    if not is_finished:
        enqueue(score)


def _audited_forecast(tenant: str, action: Action, student_id: str, more: list[int], signed_actor: Sequence[str]) -> Forecast:
    """The forecast, with its entry in the audit trail; ``more`` are the arguments that are signed too."""
    actor = engine().audit.actor_signer.verify([tenant, action, student_id, *more], signed_actor)
    with audited(tenant, action, student_id, actor):
        return current_forecast(tenant, student_id, using=engine().forecasting, now=engine().clock())


def _answer(told: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", msgspec.to_builtins(told))
