"""An application whose answers stream, and a worker with a short deadline, for the tests of streamed answers.

gunicorn runs it instead of the API, by the options in ``test_api_streams.py``.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from threading import Event, Lock
from typing import Any

from api.server import OwnWorker

PART = b"x" * 100_000  # about as large as a part of a batch's results
LARGE_PARTS = 1000  # of an answer larger than the unsent bytes of a process may be together
STALL_SECONDS = 2.0
TICKS, TICK_SECONDS = 10, 0.2
PERSONAL = "s-4711"


class QuickWorker(OwnWorker):
    """The API's worker, which gives up on clients sooner."""

    limits = OwnWorker.limits._replace(answer_seconds=STALL_SECONDS)


class Counter:
    """How many bodies are being made, and how many parts were made."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.running = self.parts = 0

    def counted(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        """The same parts."""
        self._add(1)
        try:
            for part in parts:
                self.parts += 1
                yield part
        finally:
            self._add(-1)

    def _add(self, change: int) -> None:
        with self._lock:
            self.running += change


_counter = Counter()
_gate = Event()


def _gated() -> Iterator[bytes]:
    """One part, and another one after /open."""
    _gate.clear()
    yield b"first"
    _gate.wait()
    yield b"last"


def _ticks() -> Iterator[bytes]:
    for number in range(TICKS):
        yield b"%d\n" % number
        time.sleep(TICK_SECONDS)


def _broken(after: int) -> Iterator[bytes]:
    for _ in range(after):
        yield PART
    raise ValueError(PERSONAL)


_BODIES: dict[str, Callable[[], Iterable[bytes]]] = {
    "/small": lambda: [b"one", b"two"],
    "/large": lambda: (PART for _ in range(LARGE_PARTS)),
    "/medium": lambda: (PART for _ in range(LARGE_PARTS // 50)),
    "/endless": lambda: (PART for _ in count()),
    "/gated": _gated,
    "/ticks": _ticks,
    "/broken": lambda: _broken(after=3),
    "/broken-at-once": lambda: _broken(after=0),
}


def application(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Stream a body of above; any other path is a small answer with a length."""
    if environ["PATH_INFO"] in _BODIES:
        start_response("200 OK", [("Content-Type", "text/plain")])
        parts = _BODIES[environ["PATH_INFO"]]()
        return [] if environ["REQUEST_METHOD"] == "HEAD" else _counter.counted(parts)
    if environ["PATH_INFO"] == "/open":
        _gate.set()
    text = b"%d %d" % (_counter.running, _counter.parts)
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
