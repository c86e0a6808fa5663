"""The calls of the stores of forecasts: a part of ``store_calls.py``."""

from app.bootstrap import Engine
from app.predictions.current_forecast import current_forecast
from app.predictions.forecast import Forecast
from app.predictions.forecast_errors import ForecastErrors
from app.predictions.forecast_records import Settled
from app.predictions.recorded_forecast import Origin, target_day
from tests.conftest import NOW
from tests.contracts.store_call import GROWS, READS, STUDENT, WRITES, Call


def prediction_calls(engine: Engine) -> dict[str, Call]:
    """Of a student who has facts, and has decided nothing about predictions."""
    forecasts, names = engine.forecasts, iter(range(1_000))
    made = current_forecast("t", STUDENT, using=engine.forecasting, now=NOW)
    return {
        "forecasts.read": Call(READS, lambda: forecasts.read("t", STUDENT)),
        "forecasts.claim": Call(GROWS, lambda: forecasts.claim("t", f"new-{next(names)}")),
        "forecasts.await_claim": Call(READS, lambda: forecasts.await_claim("t", STUDENT)),
        "forecasts.release": Call(WRITES, lambda: forecasts.release("t", STUDENT)),
        "forecasts.put": Call(
            GROWS,
            lambda: forecasts.put("t", STUDENT, forecasts.read("t", STUDENT), engine.consents.read("t", STUDENT), "", made),
        ),
        "forecasts.erase": Call(WRITES, lambda: forecasts.erase("t", ["s-2", "s-3"])),
        **_records(engine, made),
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
        "forecast_records.erase": Call(WRITES, lambda: records.erase("t", ["s-2", "s-3"])),
    }
