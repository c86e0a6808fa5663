"""The calls of the store of published statistics: a part of ``store_calls.py``."""

import numpy as np

from app.bootstrap import Engine
from app.clock import day_number
from app.mastery.rankings import Metric
from tests.conftest import NOW
from tests.contracts.store_call import GROWS, READS, WRITES, Call


def analytics_calls(engine: Engine) -> dict[str, Call]:
    """Of a cohort that was published, and others that are looked at."""
    published, today, names = engine.published, day_number(NOW), iter(range(1_000))
    version = {metric: np.arange(5, dtype=np.uint32) for metric in Metric}
    assert published.publish("t", "c-1", published.begin("t", "c-1", today), version)
    begun = [(cohort, published.begin("t", cohort, today)) for cohort in map("begun-{}".format, range(40))]
    return {
        "published.read": Call(READS, lambda: published.read("t", "c-1", dict.fromkeys(Metric, 3))),
        "published.unchecked": Call(READS, lambda: published.unchecked("t", ["c-1", "c-2"], today)),
        "published.begin": Call(GROWS, lambda: published.begin("t", f"new-{next(names)}", today)),
        "published.publish": Call(GROWS, lambda: published.publish("t", *begun.pop(), version)),
        "published.withhold": Call(GROWS, lambda: published.withhold("t", *begun.pop())),
        "published.drop": Call(WRITES, lambda: published.drop("t-none")),
    }
