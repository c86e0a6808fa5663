"""A thread writes the request log in batches, and no line is lost when the process ends."""

import io
import logging
from threading import Event

import pytest

from api import request_log
from api.request_log import LineBatches
from tests.stack import wait_for


class Stream(io.StringIO):
    """Records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return len(text)


@pytest.fixture
def stream() -> Stream:
    return Stream()


def emit(handler: LineBatches, *messages: str) -> None:
    for message in messages:
        handler.handle(logging.LogRecord("api.request_log", logging.INFO, __file__, 1, message, None, None))


def told(stream: Stream) -> list[str]:
    """The messages of all lines, in order."""
    return [line.rpartition(": ")[2] for line in "".join(stream.writes).splitlines()]


def test_lines_are_written_at_once(stream: Stream) -> None:
    """Lines logged at the same time are written at once, in order and without a flush; later ones are too."""
    handler = LineBatches(stream)
    emit(handler, *map(str, range(100)))
    wait_for(lambda: len(told(stream)) == 100, 10)
    emit(handler, "100")
    wait_for(lambda: len(told(stream)) == 101, 10)
    assert told(stream) == [str(number) for number in range(101)]
    assert len(stream.writes) < 10


def test_what_is_left_is_written_at_the_end(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shutdown hook of logging writes the remaining lines, each once."""
    monkeypatch.setattr(request_log, "BATCH_SECONDS", 3600)
    handler = LineBatches(stream)
    emit(handler, "one", "two")
    handler.flush()
    handler.flush()
    assert told(stream) == ["one", "two"]


def test_a_stream_that_takes_nothing(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the stream blocks, a bounded number of the newest lines waits; no caller waits."""
    monkeypatch.setattr(request_log, "MAX_LINES", 3)
    stuck, begun = Event(), Event()

    def wait_to_write(text: str) -> int:
        begun.set()
        stuck.wait(30)
        return Stream.write(stream, text)

    monkeypatch.setattr(stream, "write", wait_to_write)
    handler = LineBatches(stream)
    emit(handler, "first")
    assert begun.wait(10)
    emit(handler, *"abcde")
    stuck.set()
    wait_for(lambda: told(stream) == ["first", "c", "d", "e"], 10)


def test_a_stream_that_is_gone(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken pipe ends neither the thread nor a request; lines are written again when the stream is back."""
    broken = [True]

    def write(text: str) -> int:
        if broken.pop() if broken else False:
            raise BrokenPipeError
        return Stream.write(stream, text)

    monkeypatch.setattr(stream, "write", write)
    handler = LineBatches(stream)
    emit(handler, "lost")
    wait_for(lambda: not broken, 10)
    emit(handler, "told")
    wait_for(lambda: told(stream) == ["told"], 10)
