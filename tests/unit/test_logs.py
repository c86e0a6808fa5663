"""A log has one line per entry, whatever is logged; a traceback cannot be mistaken for an entry."""

import logging
import re
from collections.abc import Iterator
from typing import NoReturn

import pytest

from app.logs import INDENT, LineFormatter, configure_logging, escaped, frames

ENTRY = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [^ :]+: ")
FORGED = "2026-10-28T12:00:00.000Z ERROR api: forged"
# What ends a line, moves a cursor, colours a terminal, changes the writing direction or is invisible.
HARMFUL = ["\n", "\r", "\r\n", "\x00", "\x07", "\x08", "\t", "\x0b", "\x0c", "\x1b[31m", "\x1c", "\x1d", "\x1e", "\x7f", "\x85"]
HARMFUL += ["\x9b31m", "\xa0", "\xad", "\u2028", "\u2029", "\u200b", "\u200e", "\u202e", "\u2066", "\ufeff", "\ud800"]


def entry(message: str, error: BaseException | None = None, name: str = "api") -> str:
    """A formatted log entry."""
    info = (type(error), error, error.__traceback__) if error else None
    return LineFormatter().format(logging.LogRecord(name, logging.ERROR, "a.py", 1, "%s", (message,), info))


def raised(text: str, cause: str = "") -> ValueError:
    """An error with a traceback."""

    def fail() -> NoReturn:
        raise ValueError(text) from KeyError(cause)

    try:
        fail()
    except ValueError as error:
        return error


@pytest.mark.parametrize("harm", HARMFUL)
def test_a_message_stays_one_line(harm: str) -> None:
    """No character of a message starts a line or controls a terminal; such characters are escaped."""
    written = entry(f"refused {harm}{FORGED}")
    assert written.isprintable()
    assert written.splitlines() == [written]
    assert ENTRY.match(written)
    assert written.endswith(FORGED)
    assert harm.encode("unicode_escape").decode() in written


def test_text_that_can_be_read_is_left_alone() -> None:
    """Letters of any script, symbols, and text that only looks like an escape."""
    text = r"Grüße 学生 'quoted' 100 % \n {x} <b> 🎓"
    assert escaped(text) == text
    assert entry(text).endswith(f"ERROR api: {text}")


def test_a_loggers_name_is_escaped_too() -> None:
    """A name may come from elsewhere."""
    assert entry("x", name="a\nb").endswith(r"ERROR a\nb: x")


@pytest.mark.parametrize("harm", HARMFUL)
def test_the_words_of_an_error_cannot_forge_an_entry(harm: str) -> None:
    """The lines of a traceback are indented; quoted text, also of causes, is escaped."""
    first, *lines = entry("failed", raised(f"no{harm}{FORGED}", cause=f"key{harm}{FORGED}")).split("\n")
    assert ENTRY.match(first)
    assert any("in fail" in line for line in lines)
    assert any("The above exception was the direct cause" in line for line in lines)
    assert all(line.startswith(INDENT) and line.isprintable() for line in lines)
    assert not any(ENTRY.match(line) for line in lines)


def test_a_stack_is_indented() -> None:
    """This also holds for a stack that a caller requests."""
    record = logging.LogRecord("api", logging.INFO, "a.py", 1, "x", (), None, sinfo="Stack\n  File\x1b")
    assert LineFormatter().format(record).split("\n")[1:] == [f"{INDENT}Stack", rf"{INDENT}  File\x1b"]


def test_frames_are_one_line_without_the_errors_words() -> None:
    """Where an error comes from: its type and each call, without quoted text."""
    told = frames(raised("secret\nwords"))
    assert re.fullmatch(rf"ValueError > {re.escape(__file__)}:\d+ raised > {re.escape(__file__)}:\d+ fail", told)


@pytest.fixture
def logging_is_restored() -> Iterator[None]:
    """Restore the handlers of this process, which pytest replaces."""
    loggers = [logging.getLogger(name) for name in ("", "gunicorn.error")]
    before = [(each, each.level, each.handlers[:], each.propagate) for each in loggers]
    yield
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


@pytest.mark.usefixtures("logging_is_restored")
def test_the_http_server_logs_as_everything_does(capsys: pytest.CaptureFixture[str]) -> None:
    """gunicorn's own handler and format, which allow forged entries, are removed; its messages are logged once, escaped."""
    theirs = logging.getLogger("gunicorn.error")
    theirs.addHandler(logging.StreamHandler())
    theirs.propagate = False
    configure_logging("INFO")
    theirs.warning("Invalid request from ip=1.2.3.4: a\n%s", FORGED)
    written = capsys.readouterr()
    assert written.err == ""
    assert written.out.count("Invalid request") == 1
    assert ENTRY.match(written.out)
    assert written.out.endswith(f"a\\n{FORGED}\n")
