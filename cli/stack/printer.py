"""Prints the lines of several processes on one output, without blocking when it is not read."""

import errno
import os
import select
import sys
from collections.abc import Callable
from queue import Empty, Full, Queue
from threading import Thread

import click

LINES = 2_000  # in the queue: more than a screen shows, at most a few MB
QUIET_SECONDS = 1.0  # how often a closed output is checked for while there are no lines
FLUSH_SECONDS = 1.0  # at the end, for lines that are not read yet
# The reader closed its end, the terminal is gone, or there never was an output. Unlike a full disk, these are permanent.
GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO})
COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")


class Printer:
    """Writes in a background thread: a full or closed pipe blocks neither the supervisor nor its processes.

    Lines that do not fit in the queue are dropped; their number is printed later. ``lost`` is called when the output is closed.
    """

    def __init__(self, lost: Callable[[], None], output: int | None = None) -> None:
        self._output = _standard_output() if output is None else output
        self._lost = lost
        self._lines: Queue[bytes | None] = Queue(LINES)
        self._dropped = 0
        self._colours: dict[str, str] = {}
        self._coloured = os.isatty(self._output) and "NO_COLOR" not in os.environ  # noqa: TID251 - no setting: no-color.org
        self._thread = Thread(target=self._write, daemon=True)  # a daemon: a write may block forever
        self._thread.start()

    def say(self, name: str, line: str) -> None:
        """Queue a line of the named process for printing."""
        self._put(f"{self._label(name)} | {line}\n")

    def close(self) -> None:
        """Print the queued lines, unless the output blocks."""
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
            while self._lines.get() is not None:  # discard the rest
                pass

    def _next_line(self) -> bytes | None:
        """The next line to write, or None at the end. Raises BrokenPipeError when the output is closed."""
        watch = select.poll()
        watch.register(self._output, 0)  # POLLERR and POLLHUP are always reported
        while True:
            try:
                return self._lines.get(timeout=QUIET_SECONDS)
            except Empty:
                if any(state & (select.POLLERR | select.POLLHUP) for _, state in watch.poll(0)):
                    raise BrokenPipeError from None

    def _write_line(self, line: bytes) -> None:
        """Write a line. Raises OSError if the output is closed; after other errors, the line counts as dropped."""
        try:
            while line:
                line = line[os.write(self._output, line) :]
        except OSError as error:
            if error.errno in GONE:
                raise
            self._dropped += 1


def _standard_output() -> int:
    """The descriptor of standard output; if it was closed, /dev/null, as another file may have number 1 by now."""
    return sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)
