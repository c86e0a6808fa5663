"""What every run does while faults happen: it tells each step, waits for conditions, and reports all of it with a failure."""

import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from types import TracebackType
from typing import Self

from app.errors import DependencyUnavailable
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault

SETTLE_SECONDS = 120.0  # tasks prefetched by a killed worker are found again after a minute
LOOK_SECONDS = 0.1
SHOWN = 5


class ObservedRun:
    """A run of a cluster. The seed determines which faults happen when and where, as far as processes allow."""

    def __init__(self, cluster: Cluster, faults: Sequence[Fault], *, seed: int, tell: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._faults = faults
        self._seed = seed
        self._rng = Random(seed)
        self._tell = tell
        self._began = time.monotonic()
        self._log: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        """Adds the run's report to any error."""
        if error is not None:
            error.add_note("\n".join(self._story()))

    def _story(self) -> Iterator[str]:
        """The lines of the report: seed, faults with their times, and the ends of the logs."""
        yield f"repeat with CHAOS_SEED={self._seed} CHAOS_FAULTS={len(self._faults)}"
        yield from self._log
        yield f"logs in {self._cluster.logs}"
        for part in self._cluster.parts():
            yield f"--- {part.name}\n{part.tail()}"

    def _note(self, what: str) -> None:
        line = f"{time.monotonic() - self._began:6.1f} s: {what}"
        self._log.append(line)
        self._tell(line)

    def _apply(self, fault: Fault, when: str = "") -> None:
        self._note(f"{fault.__name__}{when} …")
        self._note(f"… {fault(self._cluster, self._rng)}")

    def _supervise(self) -> None:
        if told := self._cluster.supervise():
            self._note(told)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while not _holds(condition):
            assert time.monotonic() < deadline, f"not within {SETTLE_SECONDS} s: {what}"
            self._supervise()
            time.sleep(LOOK_SECONDS)
        self._note(what)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except DependencyUnavailable:
        return False  # a server that has just restarted does not respond yet
