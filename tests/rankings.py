"""Rankings of given values, as the stores would read them."""

import numpy as np
from numpy.typing import NDArray

from app.mastery.rankings import Ranking


def ranking_of(values: NDArray[np.uint32], value: int | None = None) -> Ranking:
    """The ranking of values whose students are not known. All are in millionths; ``values`` are sorted, the lowest first.

    Returns:
        The ranking, and in it the place of ``value``, as of a value from outside.
    """
    count = len(values)
    wide = values.astype(np.uint64)  # holds the squares of 18 million students
    ranks = [quarter * (count - 1) // 4 for quarter in (1, 2, 3)] if count else []
    below, up_to = (0, 0) if value is None else (int(values.searchsorted(value, side)) for side in ("left", "right"))
    return Ranking(
        count,
        total=int(wide.sum()),
        squares=int((wide * wide).sum()),
        quartiles=tuple((int(values[rank]), int(values[min(rank + 1, count - 1)])) for rank in ranks),
        value=value,
        below=below,
        equal=up_to - below,
    )
