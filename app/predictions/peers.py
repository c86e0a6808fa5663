"""What the students of a cohort did lately: shares and counts, from which nobody can be told. Pure.

The best sign that a student's mastery is about to change is what the others do: they hand in what this student has not yet.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from app.predictions.daily_history import CONSISTENCY, DailyHistory, Floats, Ints

LIVE_DAYS = 14  # whoever was active within these days counts
FEWEST_PEERS = 10  # shares of fewer say little, and would say much about each
MOST_EXERCISES = 200  # totals beyond this count as this: bounds what is stored

# What is shared: a field of DayFacts that says that something came, and in how many days.
SHARES: Mapping[str, tuple[str, int]] = {
    f"{field}_{days}": (field, days)
    for field, windows in {"active": (7,), "total": (3, 7, 14), "asked": (3, 7, 14), "submissions": (3, 7)}.items()
    for days in windows
}
_ACTIVITY = {"active": CONSISTENCY, "total": 0, "asked": 1, "submissions": 2}  # the component of each field


class Peers(Struct, frozen=True, kw_only=True):
    """A cohort on a day.

    Attributes:
        shares: of the live students, how many have new evidence: by the names of ``SHARES``; 0..1.
        totals: element n is the share of live students whose latest completion is of at most n exercises; 0..1.
    """

    shares: dict[str, float]
    totals: list[float]


CohortDays: TypeAlias = Sequence[Peers | None]


def peers(history: DailyHistory, retention_days: int, columns: Ints) -> list[Peers | None]:
    """The cohort on each of these columns; None where fewer than ``FEWEST_PEERS`` students were live."""
    first = columns - retention_days + 1
    live = history.count("active", columns - LIVE_DAYS + 1, columns) > 0
    number = live.sum(axis=0)
    shares = {
        name: ((history.age(_ACTIVITY[field], columns - days + 1, columns) >= 0) & live).sum(axis=0)
        for name, (field, days) in SHARES.items()
    }
    _completed, total = history.progress(first, columns)
    totals = np.minimum(total, MOST_EXERCISES)
    return [
        _cohort({name: float(count[at] / n) for name, count in shares.items()}, totals[live[:, at], at])
        if n >= FEWEST_PEERS
        else None
        for at, n in enumerate(number.tolist())
    ]


def peer_columns(days: CohortDays, total: Ints) -> dict[str, Floats]:
    """Features of the peers, for students whose latest completion is of ``total`` exercises: (students, days) each.

    Returns:
        The shares, and ``ahead``: the share of live peers whose total is higher than the student's. NaN without peers.
    """
    shape, columns = total.shape, {}
    for name in SHARES:
        shares = np.array([np.nan if each is None else each.shares[name] for each in days])
        columns[f"peers_{name}"] = np.broadcast_to(shares, shape)
    ahead = np.full(shape, np.nan)
    for at, each in enumerate(days):
        if each is not None:
            ahead[:, at] = 1 - np.array(each.totals)[np.minimum(total[:, at], len(each.totals) - 1)]
    return columns | {"peers_ahead": ahead}


def _cohort(shares: dict[str, float], totals: Ints) -> Peers:
    return Peers(shares=shares, totals=(np.cumsum(np.bincount(totals)) / len(totals)).tolist())
