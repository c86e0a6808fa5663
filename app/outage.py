"""Logs outages: one line when a dependency becomes unavailable and one when it is back, not one per attempt."""

import logging
import time
from threading import Lock

from app.errors import DependencyUnavailable

# A part that has not reported the outage again for this long no longer uses the dependency: an uncalled route, an ended loop.
# Longer than any pause between two attempts.
FORGOTTEN_SECONDS = 60.0


class Outage:
    """The state of one dependency as seen by all parts of this process. Thread-safe.

    Parts (``who``) may see different states: reads succeed on a Redis that rejects writes. The outage ends when every part
    that reported it has succeeded.
    """

    def __init__(self, dependency: str, log: logging.Logger) -> None:
        self._dependency = dependency
        self._log = log
        self._lock = Lock()
        self._since = 0.0
        self._missed: dict[str, float] = {}  # part → when it last reported the outage

    def gone(self, reason: object, who: str = "") -> None:
        """Report that a call failed, and why. Logs only the first report of an outage."""
        now = time.monotonic()
        with self._lock:
            is_new = not self._missed
            self._missed[who] = now
            if is_new:
                self._since = now
        if is_new:
            self._log.error("%s is unavailable; retrying: %s", self._dependency, reason)

    def back(self, who: str = "") -> None:
        """Report that a call succeeded. Logs only the end of an outage."""
        if not self._missed:  # fast path without the lock
            return
        now = time.monotonic()
        with self._lock:
            was_missed = bool(self._missed)
            self._missed.pop(who, None)
            self._missed = {each: at for each, at in self._missed.items() if now - at < FORGOTTEN_SECONDS}
            is_back = was_missed and not self._missed
            lasted = now - self._since
        if is_back:
            self._log.warning("%s is available again after %.1f s", self._dependency, lasted)


class Outages:
    """The outages of all dependencies of a process, by name. Thread-safe."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._known: dict[str, Outage] = {}

    def gone(self, error: DependencyUnavailable, who: str) -> None:
        """Report an error that a part of the process got. The outage is that of the root cause's dependency."""
        while isinstance(error.__cause__, DependencyUnavailable):
            error = error.__cause__
        outage = self._known.setdefault(error.dependency, Outage(error.dependency, self._log))
        outage.gone(f"{error} ({error.__cause__})" if error.__cause__ else error, who)

    def back(self, who: str) -> None:
        """Report that a part of the process succeeded with all its dependencies."""
        for outage in tuple(self._known.values()):
            outage.back(who)
