"""Backpressure: when the bridge pauses reading because the workers or the relay are behind, and when it resumes."""

from collections.abc import Callable

from app.config.settings import Settings
from app.events.ledger import Depths


class Backpressure:
    """Hysteresis between the high and low marks of the settings, so that reading is not paused at every chunk."""

    def __init__(self, settings: Settings, relay_is_full: Callable[[], bool]) -> None:
        self._settings = settings
        self._relay_is_full = relay_is_full

    def must_hold(self, depths: Depths) -> bool:
        """Whether to pause reading: a lane has reached its high mark, or the relay is full."""
        ordinary, bulk = self._settings.chunks_high_mark, self._settings.bulk_chunks_high_mark
        return depths.ordinary >= ordinary or depths.bulk >= bulk or self._relay_is_full()

    def may_go_on(self, depths: Depths) -> bool:
        """Whether to resume reading: both lanes are down to their low marks, and the relay is not full."""
        ordinary, bulk = self._settings.chunks_low_mark, self._settings.bulk_chunks_low_mark
        return depths.ordinary <= ordinary and depths.bulk <= bulk and not self._relay_is_full()
