"""Finds work whose task was lost, by its last activity."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import redis

from app.storage.scripts import load_script


class OverdueClaims:
    """Work in progress by the time of its last activity: a sorted set of ids and milliseconds since 1970-01-01.

    Raises DependencyUnavailable when Redis does not answer.
    """

    def __init__(self, client: redis.Redis, key: str, subset: str | None = None) -> None:
        """``key`` is the sorted set; ``subset`` is a set of some of its ids, which are claimed separately."""
        self._keys = [key] if subset is None else [key, subset]
        folder = Path(__file__).parent
        self._claim = load_script(client, folder / "claim_overdue.lua")
        self._touch = load_script(client, folder / "touch_work.lua")
        self._release = load_script(client, folder / "release_work.lua")

    def touch(self, item: str, at: int | None = None) -> None:
        """Note activity now, by the server's clock, as those of the callers may differ; or at another time (milliseconds)."""
        self._touch(self._keys[:1], [item, "" if at is None else at])

    def claim(self, seconds: float, limit: int, excluding: Iterable[str] = (), *, in_subset: bool = False) -> list[str]:
        """Claim up to ``limit`` ids without activity for ``seconds``, except those in ``excluding``.

        Returns:
            The ids, longest inactive first. A claimed one counts as active, so it is returned at most once in ``seconds``.
        """
        ids = self._claim(self._keys, [round(seconds * 1000), limit, int(in_subset), *excluding])
        return [each.decode() for each in cast("list[bytes]", ids)]

    def release(self, item: str, at: int) -> None:
        """Remove an id unless it was active after ``at`` (milliseconds)."""
        self._release(self._keys[:1], [item, at])
