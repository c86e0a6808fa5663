"""The calls of the stores of forecasts and models: a part of ``store_calls.py``."""

from app.analytics.trend_store import Trend
from app.bootstrap import Engine
from app.clock import day_number
from app.mastery.evidence import ACTIVITY
from app.predictions.current_forecast import current_forecast
from app.predictions.forecast import Forecast
from app.predictions.forecast_errors import ForecastErrors
from app.predictions.forecast_records import Settled
from app.predictions.model_store import Attempt
from app.predictions.peer_store import Observed
from app.predictions.recorded_forecast import Origin, target_day
from app.predictions.risk_store import Estimate, RiskList
from tests.conftest import NOW
from tests.contracts.store_call import GROWS, READS, STUDENT, WRITES, Call
from tests.stored_models import CONTENT, summary


def prediction_calls(engine: Engine) -> dict[str, Call]:
    """Of a student who has facts, and has decided nothing about predictions."""
    forecasts, names, today = engine.forecasts, iter(range(1_000)), day_number(NOW)
    number = 10_000
    earlier = number.to_bytes(8), today - 5, ACTIVITY, 0, 0, number, number.to_bytes(16), "c-1"
    engine.mastery.facts.merge("t", {STUDENT: [earlier]}, today)  # a forecast from less history is not recorded
    made = current_forecast("t", STUDENT, using=engine.forecasting, now=NOW)
    return {
        "forecasts.read": Call(READS, lambda: forecasts.read("t", STUDENT)),
        "forecasts.claim": Call(GROWS, lambda: forecasts.claim("t", f"new-{next(names)}").take()),
        "forecasts.claim that others have": Call(READS, lambda: forecasts.claim("t", STUDENT).await_end()),
        "forecasts.claim that ends": Call(WRITES, lambda: forecasts.claim("t", STUDENT).release()),
        "forecasts.put": Call(
            GROWS,
            lambda: forecasts.put("t", STUDENT, forecasts.read("t", STUDENT), engine.consents.read("t", STUDENT), "", made),
        ),
        "forecasts.erase": Call(WRITES, lambda: forecasts.erase("t", ["s-2", "s-3"])),
        **_records(engine, made),
        **_risk_lists(engine),
        **_trends(engine),
    }


def _risk_lists(engine: Engine) -> dict[str, Call]:
    lists, about, names = engine.risk_lists, RiskList(1, "base", "1", 1), iter(range(1_000))
    return {
        "risk_lists.erase": Call(WRITES, lambda: lists.erase("t", STUDENT)),
        "risk_lists.put": Call(GROWS, lambda: lists.put("t", "c-1", about, {STUDENT: Estimate(0.5)})),
        "risk_lists.erasures": Call(READS, lambda: lists.erasures("t", [STUDENT, "s-2"])),
        "risk_lists.about": Call(READS, lambda: lists.about("t", "c-1")),
        "risk_lists.part": Call(READS, lambda: lists.part("t", "c-1", 10, 0.0)),
        "risk_lists.claim": Call(GROWS, lambda: lists.claim("t", f"new-{next(names)}").take()),
    }


def _trends(engine: Engine) -> dict[str, Call]:
    trends, trend, names = engine.trends, Trend(1, "0", 1, False, []), iter(range(1_000))
    return {
        "trends.put": Call(GROWS, lambda: trends.put("t", "c-1", trend)),
        "trends.read": Call(READS, lambda: trends.read("t", "c-1")),
        "trends.claim": Call(GROWS, lambda: trends.claim("t", f"new-{next(names)}").take()),
    }


def _records(engine: Engine, made: Forecast) -> dict[str, Call]:
    records, cache, day = engine.forecast_records, engine.forecasts, target_day(made)
    (stored,) = records.some("t", day, 1).values()
    scored = Settled(stored, "c-1", Origin(day, "base", "1"), ForecastErrors(1, 0.5, 0.25, 0, 1))

    def remember() -> bool:
        return records.remember("t", STUDENT, cache.read("t", STUDENT), engine.consents.read("t", STUDENT), made)

    def settle_again() -> None:
        records.settle("t", day, {STUDENT: scored})
        remember()

    return {
        "forecast_records.remember": Call(GROWS, remember),
        "forecast_records.days": Call(READS, lambda: records.days("t")),
        "forecast_records.some": Call(READS, lambda: records.some("t", day, 10)),
        "forecast_records.settle": Call(GROWS, settle_again),
        "forecast_records.close": Call(WRITES, lambda: records.close("t", day - 1)),
        "accuracy.of_tenant": Call(READS, lambda: engine.accuracy.of_tenant("t", day)),
        "accuracy.of_cohorts": Call(READS, lambda: list(engine.accuracy.of_cohorts("t", ["c-1"], day))),
        "forecast_records.erase": Call(WRITES, lambda: records.erase("t", ["s-2", "s-3"])),
    }


def model_calls(engine: Engine) -> dict[str, Call]:
    """Of a tenant with two models, which have both answered."""
    models, peers, versions = engine.learning.models, engine.learning.peers, iter(range(1_000))
    for version in ("a", "b"):
        models.put(summary(version), CONTENT)
        models.promote("t", version)
    for number in range(20):
        models.put(summary("a", f"t-{number}"), CONTENT)
        models.promote(f"t-{number}", "a")
    used, others, at = map("t-{}".format, range(20)), map("t-{}".format, range(20)), NOW.toordinal()
    assert models.lease("t").hold(1)
    return {
        "models.put": Call(GROWS, lambda: models.put(summary(f"v-{next(versions)}"), CONTENT)),
        "models.promote": Call(GROWS, lambda: models.promote("t", "a")),
        "models.retire": Call(GROWS, lambda: models.retire(next(others))),
        "models.roll_back": Call(WRITES, lambda: models.roll_back(next(used))),
        "models.earlier": Call(READS, lambda: models.earlier("t")),
        "models.promoted": Call(READS, lambda: models.promoted("t")),
        "models.summaries": Call(READS, lambda: models.summaries("t")),
        "models.summary": Call(READS, lambda: models.summary("t", "b")),
        "models.content": Call(READS, lambda: models.content("t", "b")),
        "models.note_attempt": Call(GROWS, lambda: models.note_attempt("t", Attempt(at, "promoted"))),
        "models.latest_attempt": Call(READS, lambda: models.latest_attempt("t")),
        "models.drop": Call(WRITES, lambda: models.drop("none")),
        "models.lease": Call(GROWS, lambda: models.lease(f"new-{next(versions)}").hold(1)),
        "models.deployment_lease": Call(GROWS, lambda: models.deployment_lease().hold(1)),
        "peers.drop": Call(WRITES, lambda: peers.drop("t", ["none"])),
        "peers.put": Call(GROWS, lambda: peers.put("t", "c-1", Observed(at, None))),
        "peers.read": Call(READS, lambda: peers.read("t", ["c-1"])),
    }
