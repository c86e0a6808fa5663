"""The calls of the cache of forecasts: a part of ``store_calls.py``."""

from app.bootstrap import Engine
from app.predictions.current_forecast import current_forecast
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
    }
