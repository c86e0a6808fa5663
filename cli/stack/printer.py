"""What several processes say, line by line on one output, without ever waiting for whoever reads it."""

import errno
import os
import select
import sys
from collections.abc import Callable
from queue import Empty, Full, Queue
from threading import Thread

import click

LINES = 2_000  # that wait to be read: more than a screen keeps, and at most a few MB
QUIET_SECONDS = 1.0  # how often it is looked whether anybody still reads, while nothing is said
FLUSH_SECONDS = 1.0  # at the end; of what is not read until then, nobody wants to know
# The reader closed its end, the terminal is gone, or there never was an output. A full disk, say, is none of these.
GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO})
COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")


class Printer:
    """Writes from a thread of its own: a pipe that is full, or closed, holds up neither the supervisor nor what it supervises.

    What finds no room is dropped, and said so once there is room again. ``lost`` is called when nobody can read any more.
    """

    def __init__(self, lost: Callable[[], None], output: int | None = None) -> None:
        self._output = _standard_output() if output is None else output
        self._lost = lost
        self._lines: Queue[bytes | None] = Queue(LINES)
        self._dropped = 0
        self._colours: dict[str, str] = {}
        self._coloured = os.isatty(self._output) and "NO_COLOR" not in os.environ  # noqa: TID251 - no setting: no-color.org
        self._thread = Thread(target=self._write, daemon=True)  # a daemon: it may be waiting for a reader for ever
        self._thread.start()

    def say(self, name: str, line: str) -> None:
        """Print a line of the one that is named, soon."""
        self._put(f"{self._label(name)} | {line}\n")

    def close(self) -> None:
        """Print what waits, unless nobody reads it."""
        try:
            self._lines.put(None, timeout=FLUSH_SECONDS)
        except Full:
            return
        self._thread.join(FLUSH_SECONDS)

    def _put(self, text: str) -> None:
        try:
            self._lines.put_nowait(text.encode(errors="backslashreplace"))
        except Full:
            self._dropped += 1

    def _label(self, name: str) -> str:
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return click.style(f"{name:>6}", fg=colour) if self._coloured else f"{name:>6}"

    def _write(self) -> None:
        try:
            while (line := self._next_line()) is not None:
                self._write_line(line)
                if dropped := self._dropped:
                    self._dropped -= dropped
                    self._write_line(f"… {dropped} lines were not read in time, and are not shown\n".encode())
        except OSError:
            self._lost()
            while self._lines.get() is not None:  # those who speak need not know
                pass

    def _next_line(self) -> bytes | None:
        """The next line to be written, or None at the end. Raises BrokenPipeError when nobody can read it any more."""
        watch = select.poll()
        watch.register(self._output, 0)  # the state of an output that nobody reads any more is told unasked
        while True:
            try:
                return self._lines.get(timeout=QUIET_SECONDS)
            except Empty:
                if any(state & (select.POLLERR | select.POLLHUP) for _, state in watch.poll(0)):
                    raise BrokenPipeError from None

    def _write_line(self, line: bytes) -> None:
        """Raises OSError when nobody can read it, now or ever; what cannot be kept for another reason is counted as dropped."""
        try:
            while line:
                line = line[os.write(self._output, line) :]
        except OSError as error:
            if error.errno in GONE:
                raise
            self._dropped += 1


def _standard_output() -> int:
    """Not number 1 where that was closed: it may be another file by now."""
    return sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)
