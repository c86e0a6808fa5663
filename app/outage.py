"""What is said of a dependency that is away: one line when it goes, and one when it is back. Not one for each attempt."""

import logging
import time


class Outage:
    """Of one dependency, as one process meets it. Two threads at the very same moment may say it twice."""

    def __init__(self, dependency: str, log: logging.Logger) -> None:
        self._dependency = dependency
        self._log = log
        self._since: float | None = None

    def gone(self, reason: object) -> None:
        """It does not answer, or not as it should; the reason is what is wrong with it, in words."""
        if self._since is None:
            self._since = time.monotonic()
            self._log.error("%s is unavailable, and is asked again until it is not: %s", self._dependency, reason)

    def back(self) -> None:
        """It answers as it should; nothing is said where it did before."""
        if self._since is not None:
            self._log.warning("%s is available again after %.1f s", self._dependency, time.monotonic() - self._since)
            self._since = None
