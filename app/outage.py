"""What is said of a dependency that is away: one line when it goes, and one when it is back. Not one for each attempt."""

import logging
import time
from threading import Lock

from app.errors import DependencyUnavailable

# Who has not missed a dependency again for so long does not ask for it any more: a route that nobody calls, a loop that has
# ended. Longer than any pause between two attempts.
FORGOTTEN_SECONDS = 60.0


class Outage:
    """Of one dependency, as one process meets it, whichever parts of the process do. Thread-safe.

    Parts (``who``) may need different things of it: one that reads is answered by a Redis that takes no writes. It is back
    when each part that missed it was answered.
    """

    def __init__(self, dependency: str, log: logging.Logger) -> None:
        self._dependency = dependency
        self._log = log
        self._lock = Lock()
        self._since = 0.0
        self._missed: dict[str, float] = {}  # by whom, and when last

    def gone(self, reason: object, who: str = "") -> None:
        """It does not answer, or not as it should; the reason is what is wrong with it, in words."""
        now = time.monotonic()
        with self._lock:
            is_new = not self._missed
            self._missed[who] = now
            if is_new:
                self._since = now
        if is_new:
            self._log.error("%s is unavailable, and is asked again until it is not: %s", self._dependency, reason)

    def back(self, who: str = "") -> None:
        """It answers as it should; nothing is said where it did before."""
        if not self._missed:  # the usual case costs nothing
            return
        now = time.monotonic()
        with self._lock:
            was_missed = bool(self._missed)
            self._missed.pop(who, None)
            self._missed = {each: at for each, at in self._missed.items() if now - at < FORGOTTEN_SECONDS}
            is_back = was_missed and not self._missed
        if is_back:
            self._log.warning("%s is available again after %.1f s", self._dependency, now - self._since)


class Outages:
    """Of every dependency that a process meets, by its name. Thread-safe."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._known: dict[str, Outage] = {}

    def gone(self, error: DependencyUnavailable, who: str) -> None:
        """A part of the process met this. Of an error that another dependency is to blame for, that one is away."""
        while isinstance(error.__cause__, DependencyUnavailable):
            error = error.__cause__
        outage = self._known.setdefault(error.dependency, Outage(error.dependency, self._log))
        outage.gone(f"{error} ({error.__cause__})" if error.__cause__ else error, who)

    def back(self, who: str) -> None:
        """A part of the process has what it needs."""
        for outage in tuple(self._known.values()):
            outage.back(who)
