"""Intervals from past errors: quantiles of the errors that forecasts had for students with similar evidence. Pure.

    interval(h) = forecast(h) + [q10(group, h), q90(group, h)]        clipped to 0..1

A group is: which components have evidence, trend, days of history, trend of the regression. One that is not in the table falls
back to a coarser one, at last to all. Between the horizons of the table, quantiles are interpolated, from 0 today.

Source: split-conformal prediction by group (Vovk: Conditional validity of inductive conformal predictors, Machine Learning 92,
2013), with signed errors, as most students stay where they are and a few jump. The textbook's interval of a regression covers
40 % instead of 80 %, since daily mastery is no line with independent noise.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from app.mastery.formula import DECIMALS, Components
from app.mastery.trend import Trend

ALL = "all"
# Days of history, this one included, up to which it counts as new or recent; more is long.
NEW_DAYS, RECENT_DAYS = 13, 45

Errors: TypeAlias = tuple[float, float]  # lower and upper quantile: at most 0, at least 0


class Interval(Struct, frozen=True):
    """Where mastery is expected, 0..1, with the probability ``level``."""

    lower: float
    upper: float
    level: float


class Evidence(NamedTuple):
    """What a student's group depends on.

    Attributes:
        components: those of today; None for no evidence.
        trend: of the last 14 days.
        history_days: days since the first retained evidence, that day included.
        regression_trend: of the regression over 30 days.
    """

    components: Components
    trend: Trend
    history_days: int
    regression_trend: Trend


class IntervalTable(Struct, frozen=True):
    """Quantiles of past errors (actual − forecast).

    Attributes:
        level: the share of errors between them, 0..1.
        horizons: days ahead, ascending.
        errors: by group, the quantiles at each of these horizons. ``ALL`` is always there.
    """

    level: float
    horizons: tuple[int, ...]
    errors: dict[str, tuple[Errors, ...]]


def decode_table(encoded: bytes) -> IntervalTable:
    """A table from JSON. Raises msgspec.DecodeError."""
    return msgspec.json.decode(encoded, type=IntervalTable)


def groups(evidence: Evidence) -> list[str]:
    """The names of a student's groups, the finest first: ``1011/stable/long/improving``, ``1011/stable/long``, …, ``all``."""
    known = "".join("0" if each is None else "1" for each in evidence.components)
    age = "new" if evidence.history_days <= NEW_DAYS else "recent" if evidence.history_days <= RECENT_DAYS else "long"
    parts = [known, evidence.trend.value, age, evidence.regression_trend.value]
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)] + [ALL]


def interval(point: float, evidence: Evidence, horizon: int, table: IntervalTable) -> Interval:
    """The interval of a forecast (0..1) for a student of this evidence, ``horizon`` ≥ 1 days ahead."""
    group = next(name for name in groups(evidence) if name in table.errors)
    return _around(point, _interpolated(table.errors[group], horizon, table.horizons), table.level)


def widest_interval(point: float, horizon: int, table: IntervalTable) -> Interval:
    """An interval that has those of all groups: for a student of whom too little is known to be in one."""
    lowest = [min(lower for lower, _ in at) for at in zip(*table.errors.values(), strict=True)]
    highest = [max(upper for _, upper in at) for at in zip(*table.errors.values(), strict=True)]
    return _around(point, _interpolated(list(zip(lowest, highest, strict=True)), horizon, table.horizons), table.level)


def _interpolated(errors: Sequence[Errors], horizon: int, horizons: Sequence[int]) -> Errors:
    """The quantiles at a horizon, on straight lines through those of the table from 0 today; the last line goes on."""
    known: Mapping[int, Errors] = {0: (0.0, 0.0), **dict(zip(horizons, errors, strict=True))}
    begin, end = next((pair for pair in pairwise(known) if horizon <= pair[1]), list(pairwise(known))[-1])
    share = (horizon - begin) / (end - begin)
    lower, upper = (low + share * (high - low) for low, high in zip(known[begin], known[end], strict=True))
    return lower, upper


def _around(point: float, errors: Errors, level: float) -> Interval:
    lower, upper = (round(min(max(point + error, 0.0), 1.0), DECIMALS) for error in errors)
    return Interval(lower, upper, level)
