"""What a forecast looks at: features of a student on a day, from what is retained then. Pure.

A column of features is computed for each student and day at once: (students, days). NaN stands for "none" throughout; trees
treat it as a value of its own.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from app.mastery.components import CONSISTENCY_DAYS
from app.mastery.formula import Components
from app.mastery.trend import FEWEST_DAYS, TREND_DAYS
from app.predictions.base_model import REGRESSION_DAYS
from app.predictions.daily_history import (
    CONSISTENCY,
    DailyHistory,
    Floats,
    Ints,
    Mask,
    components,
    daily_history,
    has_evidence,
    mastery,
)
from app.predictions.forecast import WEEK
from app.predictions.peers import CohortDays, peer_columns

HORIZON_DAYS = WEEK
# Days of students in one step of numpy: of one student all lags at once, which takes a third of the time; of many one lag at a
# time, since more would not fit in the cache.
WINDOWS_AT_ONCE = 2_000
_AGE_LIMIT = 60  # days of history beyond this look alike


class Regression(NamedTuple):
    """Lines through daily mastery, (students, days): number of days, mean, and slope per day; 0 for fewer than three days."""

    number: Floats
    mean: Floats
    slope: Floats


class Outlook(NamedTuple):
    """Students on days, before a forecast is made: each is (students, days).

    Attributes:
        score: mastery.
        carried: mastery in ``HORIZON_DAYS`` if nothing came until then but activity as today: evidence leaves the window.
        trend, regression: lines through the daily mastery of ``TREND_DAYS`` and ``REGRESSION_DAYS``.
        present: whether the student has any evidence.
        known: of each component, whether it has evidence: (4, students, days).
        history_days: days since the first retained evidence, that day included.
        features: (students, days, features), in the order of ``names``.
    """

    score: Floats
    carried: Floats
    trend: Regression
    regression: Regression
    present: Mask
    known: Mask
    history_days: Floats
    features: Floats
    names: tuple[str, ...]


def outlook(history: DailyHistory, retention_days: int, columns: Ints, cohort: CohortDays) -> Outlook:
    """Look at all students on these columns. ``cohort`` has, for each column, the peers on the day before."""
    first = columns - retention_days + 1
    now = components(history, first, columns)
    score, present = mastery(now), has_evidence(now)
    carried_parts = carried(history, first, columns, HORIZON_DAYS, now)
    carried_score = mastery(carried_parts)
    history_days = _history_days(history, first, columns)
    lines = regressions(history, first, columns, (TREND_DAYS, REGRESSION_DAYS), history_days)
    completed, total = history.progress(first, columns)
    values = {"mastery": score, "carried": carried_score - score, "history_days": np.minimum(history_days, _AGE_LIMIT)}
    values |= dict(zip(Components._fields, now, strict=True))
    values |= _changes(now, carried_parts, history.count("active", columns - HORIZON_DAYS + 1, columns))
    for days in (7, 14):
        past = components(history, first, columns - days)
        values[f"gain_{days}"] = np.where(has_evidence(past), score - mastery(past), np.nan)
    values |= {f"slope_{days}": of_days.slope for days, of_days in lines.items()}
    for days in (3, 7, 30):
        values[f"active_{days}"] = history.count("active", np.maximum(first, columns - days + 1), columns) * 1.0
    values |= {f"days_since_{name}": history.age(at, first, columns) for at, name in enumerate(Components._fields)}
    values |= {"total": total * 1.0, "missed": (total - completed) * 1.0}
    values["submissions"] = history.count("submissions", first, columns) * 1.0
    values |= peer_columns(cohort, total)
    return Outlook(
        score,
        carried_score,
        lines[TREND_DAYS],
        lines[REGRESSION_DAYS],
        present,
        np.asarray(~np.isnan(now)),
        history_days,
        np.stack(list(values.values()), axis=-1),
        tuple(values),
    )


@cache
def feature_names() -> tuple[str, ...]:
    """The names of the features, in their order."""
    return outlook(daily_history([], 0, 0), 1, np.array([0]), [None]).names


def carried(history: DailyHistory, first: Ints, columns: Ints, days: int, now: Floats) -> Floats:
    """The components ``days`` after each column, if nothing came until then but activity as often as now.

    What is known already is that evidence will have left the window.

    Returns:
        (4, students, days), NaN without evidence.
    """
    parts = components(history, first + days, columns)
    parts[CONSISTENCY] = now[CONSISTENCY]
    return parts


def regressions(
    history: DailyHistory, first: Ints, columns: Ints, lengths: Sequence[int], history_days: Floats
) -> dict[int, Regression]:
    """The least-squares lines through the daily mastery of up to so many days, as in ``app/mastery/trend.py``.

    Sums over the lag i of a day, 0 for the last one: slope = −Σ (i − ī)·y / Σ (i − ī)². Days before the first evidence have a
    mastery of 0, so they add nothing to the sums. A longer line goes on with the sums of a shorter one.

    Returns:
        By length: the line of each student and day.
    """
    total = np.zeros(history_days.shape)
    weighted = np.zeros(history_days.shape)
    lines = {}
    for lag, of_day in enumerate(_daily_mastery(history, first, columns, max(lengths))):
        total += of_day
        weighted += lag * of_day
        if lag + 1 in lengths:
            lines[lag + 1] = _line(total, weighted, np.minimum(history_days, lag + 1))
    return lines


def _daily_mastery(history: DailyHistory, first: Ints, columns: Ints, days: int) -> Iterator[Floats]:
    """Mastery on each column, then on the day before each, and so on for so many days: (students, columns) each."""
    at_once = max(1, WINDOWS_AT_ONCE // max(1, history.students * len(columns)))
    for start in range(0, days, at_once):
        lags = np.arange(start, min(start + at_once, days))
        of_days = mastery(components(history, np.tile(first, len(lags)), (columns - lags[:, None]).ravel()))
        yield from of_days.reshape(history.students, len(lags), len(columns)).swapaxes(0, 1)


def _line(total: Floats, weighted: Floats, number: Floats) -> Regression:
    """The line of Σ y, Σ i·y and the number of days."""
    squares = number * (number * number - 1) / 12
    with np.errstate(invalid="ignore", divide="ignore"):
        steepness = -(weighted - (number - 1) / 2 * total) / squares
        mean = total / number
    return Regression(number, np.nan_to_num(mean), np.asarray(np.where(number >= FEWEST_DAYS, steepness, 0.0)))


def _history_days(history: DailyHistory, first: Ints, columns: Ints) -> Floats:
    """Days since the first retained evidence, that day included; 0 without evidence: (students, days)."""
    has = np.zeros((history.students, history.days), dtype=bool)
    for name in ("total", "asked", "submissions", "active"):
        has |= history.facts[name] > 0
    nothing = history.days
    upcoming = np.where(has, np.arange(history.days), nothing)[:, ::-1]
    following = np.minimum.accumulate(upcoming, axis=1)[:, ::-1]  # the next column with evidence
    earliest = following[:, np.clip(first, 0, history.days - 1)]
    return np.maximum(columns - earliest + 1, 0).astype(np.float64)


def _changes(now: Floats, parts: Floats, active: Ints) -> dict[str, Floats]:
    """How each component will have changed by what leaves the window: the consistency, if no activity came."""
    parts = parts.copy()
    parts[CONSISTENCY] = active / CONSISTENCY_DAYS
    return {
        f"leaving_{name}": of - at
        for name, of, at in zip(Components._fields, np.nan_to_num(parts), np.nan_to_num(now), strict=True)
    }
