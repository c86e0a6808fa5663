"""Backpressure: when the bridge reads nothing, because the workers or the relay are behind, and when it goes on."""

from collections.abc import Callable

from app.config.settings import Settings
from app.events.ledger import Depths


class Backpressure:
    """Between the high and the low marks of the settings nothing changes, so that reading is not paused with every chunk.

    ``relay_is_full`` tells whether as much waits to be relayed as may.
    """

    def __init__(self, settings: Settings, relay_is_full: Callable[[], bool]) -> None:
        self._settings = settings
        self._relay_is_full = relay_is_full

    def must_hold(self, depths: Depths) -> bool:
        """Whether to read nothing more: a lane has reached its high mark, or the relay is full."""
        ordinary, bulk = self._settings.chunks_high_mark, self._settings.bulk_chunks_high_mark
        return depths.ordinary >= ordinary or depths.bulk >= bulk or self._relay_is_full()

    def may_go_on(self, depths: Depths) -> bool:
        """Whether to read again: both lanes are down to their low marks, and the relay has room."""
        ordinary, bulk = self._settings.chunks_low_mark, self._settings.bulk_chunks_low_mark
        return depths.ordinary <= ordinary and depths.bulk <= bulk and not self._relay_is_full()
