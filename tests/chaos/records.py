"""What is sent: real events of the last weeks, some expired, some sent twice, and some invalid."""

import importlib.util
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeAlias

import msgspec

from app.events.event_totals import Totals
from cli.commands.event_files import EventFile, read_lines, records, survey

# The day may change while a test runs: what is retained is also retained on the next day, and what is expired was so before.
OLDEST_RETAINED_DAYS, YOUNGEST_EXPIRED_DAYS = 88, 91
TAIL_EVENTS = 110_000  # the newest of the file, which is sorted by time: all retained events, and some expired ones

KeyValue: TypeAlias = tuple[bytes | None, bytes]
Student: TypeAlias = tuple[str, str]


class Expectation(Enum):
    """The expected outcome of a record."""

    APPLIED = auto()
    DUPLICATE = auto()
    EXPIRED = auto()
    DEAD_LETTER = auto()


class SentRecord(NamedTuple):
    """A record of the events topic, and its expected outcome. Of two equal ones, either may be the duplicate."""

    key: bytes | None
    value: bytes
    fate: Expectation


class RealEvents(NamedTuple):
    """Events as Kafka keys and values, shifted so that the newest are from the day before ``as_of``."""

    as_of: date
    retained: list[KeyValue]
    expired: list[KeyValue]


class Tally(NamedTuple):
    """The number of records by outcome, expected or counted by the engine."""

    totals: Totals
    dead_letters: int

    @property
    def records(self) -> int:
        """All of them."""
        return sum(self.totals) + self.dead_letters


class Expected(NamedTuple):
    """The reference's result for a student."""

    cohort: str
    components: dict[str, float | None]
    mastery: float


def read_events(file: Path, as_of: date, scratch: Path) -> RealEvents:
    """The newest events of a file, shifted like by ``mastery replay --shift-to-now``."""
    tail = EventFile(scratch / "tail.ndjson", "tail")
    lines = deque((line for _, line in read_lines(EventFile(file, str(file)))), maxlen=TAIL_EVENTS)
    tail.path.write_bytes(b"\n".join(lines))
    newest = survey(tail, datetime.now(UTC)).newest
    oldest_retained = (as_of - timedelta(days=OLDEST_RETAINED_DAYS)).isoformat()
    youngest_expired = (as_of - timedelta(days=YOUNGEST_EXPIRED_DAYS)).isoformat()
    events = RealEvents(as_of, [], [])
    for key, value in records(tail, as_of - timedelta(days=1) - newest):
        day = msgspec.json.decode(value)["timestamp"][: len(youngest_expired)]
        if day >= oldest_retained:
            events.retained.append((key, value))
        elif day <= youngest_expired:
            events.expired.append((key, value))
    return events


def compose(events: RealEvents, rng: Random, *, retained: int) -> list[SentRecord]:
    """This many retained events, plus 2 % expired, 2 % sent twice and 1 % invalid; in random order."""
    applied = rng.sample(events.retained, retained)
    spoilt = rng.sample(events.retained, retained // 100)
    composed = [
        *(SentRecord(*each, Expectation.APPLIED) for each in applied),
        *(SentRecord(*each, Expectation.DUPLICATE) for each in rng.sample(applied, retained // 50)),
        *(SentRecord(*each, Expectation.EXPIRED) for each in rng.sample(events.expired, retained // 50)),
        *(SentRecord(key, rng.choice(SPOILERS)(value), Expectation.DEAD_LETTER) for key, value in spoilt),
    ]
    rng.shuffle(composed)
    return composed


def tally(sent: Sequence[SentRecord]) -> Tally:
    """The expected counters after these records."""
    fates = Counter(record.fate for record in sent)
    return Tally(
        Totals(fates[Expectation.APPLIED], fates[Expectation.DUPLICATE], fates[Expectation.EXPIRED]),
        fates[Expectation.DEAD_LETTER],
    )


def expected_students(reference: Path, sent: Sequence[SentRecord], as_of: date, scratch: Path) -> dict[Student, Expected]:
    """The reference's result for the same records, computed in memory without faults."""
    file = scratch / "sent.ndjson"
    file.write_bytes(b"\n".join(record.value for record in sent if record.fate is not Expectation.DEAD_LETTER))
    oracle = _module(reference)
    students = oracle.students_on(file, as_of, 90, 0)
    expected = {}
    for who, facts in students.items():
        parts = oracle.components(facts, as_of)
        expected[who] = Expected(facts["cohort"], parts, oracle.mastery(parts)[0])
    return expected


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _changed(value: bytes, **changes: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(value) | changes)


def _cut(value: bytes) -> bytes:
    return value[: len(value) // 2]


def _empty(_value: bytes) -> bytes:
    return b""


def _not_utf_8(value: bytes) -> bytes:
    return b"\xff" + value


def _of_another_type(value: bytes) -> bytes:
    return _changed(value, event_type="quiz.performance.imagined")


def _without_data(value: bytes) -> bytes:
    return _changed(value, data=None)


def _by_nobody(value: bytes) -> bytes:
    return _changed(value, student_id="no such name")


def _of_the_future(value: bytes) -> bytes:
    return _changed(value, timestamp="2999-01-01T00:00:00Z")


# Changes that make an event invalid.
SPOILERS: tuple[Callable[[bytes], bytes], ...] = (
    _cut,
    _empty,
    _not_utf_8,
    _of_another_type,
    _without_data,
    _by_nobody,
    _of_the_future,
)
