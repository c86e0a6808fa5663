"""Event files are sent unchanged, or shifted by whole days."""

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from app.errors import InvalidInput
from cli.commands.event_files import EventFile, Survey, event_file, read_lines, records, survey
from tests.learning_events import activity

NOW = datetime(2026, 10, 28, 12, tzinfo=UTC)


def write(path: Path, *lines: str) -> EventFile:
    path.write_text("\n".join(lines))
    return EventFile(path, "events")


@pytest.mark.parametrize("name", ["events.ndjson", "events.ndjson.gz", "no-suffix"])
def test_gzip_is_told_by_content_not_by_name(tmp_path: Path, name: str) -> None:
    """A misnamed file is read too."""
    plain, packed = tmp_path / name, tmp_path / f"packed-{name}"
    plain.write_bytes(b"one\n\ntwo\n")
    packed.write_bytes(gzip.compress(b"one\n\ntwo\n"))
    for path in (plain, packed):
        assert list(read_lines(EventFile(path, name))) == [(1, b"one"), (3, b"two")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_is_no_part_of_the_first_event(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Editors on Windows write byte order marks."""
    path = tmp_path / "events"
    path.write_bytes(pack(json.dumps(activity()).encode("utf-8-sig")))
    assert survey(EventFile(path, "events"), NOW).invalid == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_refused_with_what_to_do(tmp_path: Path, encoding: str) -> None:
    """No line of such a file is JSON in UTF-8."""
    path = tmp_path / "events"
    path.write_bytes(("\ufeff" if encoding == "utf-16-be" else "").encode(encoding) + json.dumps(activity()).encode(encoding))
    with pytest.raises(InvalidInput, match="events: is UTF-16; convert it"):
        survey(EventFile(path, "events"), NOW)


def test_a_survey_counts_lines_and_finds_the_newest_day(tmp_path: Path) -> None:
    """It finds the newest day of the valid events, and the first errors with their lines."""
    file = write(
        tmp_path / "events",
        json.dumps(activity(timestamp="2026-01-02T00:00:00Z")),
        json.dumps(activity(timestamp=1_767_484_800_000)),  # 2026-01-04
        "",
        json.dumps(activity(timestamp="soon")),
        "[]",
        *["{broken"] * 5,
    )
    assert survey(file, NOW) == Survey(
        9,
        7,
        date(2026, 1, 4),
        (
            "line 4: timestamp: must be ISO 8601 with an offset, or epoch milliseconds",
            "line 5: Expected `object`, got `array`",
            *(f"line {line}: not JSON in UTF-8" for line in (6, 7, 8)),
        ),
    )


def test_the_newest_day_does_not_lie_in_the_future(tmp_path: Path) -> None:
    """One wrong date would make all other events expire, so future dates only count if all are in the future."""
    later = [json.dumps(activity(timestamp=f"{year}-12-31T12:00:00Z")) for year in (2062, 9999)]
    assert survey(write(tmp_path / "some", json.dumps(activity()), *later), NOW).newest == date(2026, 10, 27)
    assert survey(write(tmp_path / "all", *later), NOW).newest == date(9999, 12, 31)


@pytest.mark.parametrize(
    "text",
    [
        "student,score\ns-1,0.5\n",
        json.dumps(activity(), indent=2),
        json.dumps([activity(), activity()]),
        '"just text"',
        "\x00\x01\x02",
    ],
)
def test_what_is_no_event_file_is_refused_with_reasons(tmp_path: Path, text: str) -> None:
    """A table, pretty-printed JSON or a list in one line has no valid event, so nothing is sent."""
    with pytest.raises(
        InvalidInput, match=r"^events: has no valid event\.\n  line 1: .*(.|\n)*An event file has an event a line"
    ):
        survey(write(tmp_path / "events", text), NOW)


def test_a_file_without_events_is_refused(tmp_path: Path) -> None:
    """An empty file is most likely a mistake."""
    with pytest.raises(InvalidInput, match="has no events"):
        survey(write(tmp_path / "empty", "", ""), NOW)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """The message has the system's reason."""
    with pytest.raises(InvalidInput, match="cannot be read"):
        survey(EventFile(tmp_path / "missing", "missing"), NOW)


def test_a_line_that_kafka_would_not_take_is_refused_by_number(tmp_path: Path) -> None:
    """The file is rejected before anything is sent."""
    file = write(tmp_path / "large", json.dumps(activity()), "", "x" * 10_000_000)
    with pytest.raises(InvalidInput, match="line 3 is longer than 900,000 bytes"):
        survey(file, NOW)


def test_a_pipe_can_be_read_twice(tmp_path: Path) -> None:
    """``<(zcat a.gz)`` is a pipe: it is copied to a file for as long as needed."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    line = json.dumps(activity()).encode()
    writer = Thread(target=lambda: pipe.write_bytes(line))
    writer.start()
    with event_file(pipe) as file:
        assert (str(pipe), [(1, line)], [(1, line)]) == (file.name, list(read_lines(file)), list(read_lines(file)))
        assert file.path.stat().st_mode & 0o077 == 0
    writer.join()
    assert not file.path.exists()


def test_without_a_shift_lines_go_as_they_are(tmp_path: Path) -> None:
    """Lines are sent byte for byte, with tenant and student as key if they have them."""
    line = json.dumps(activity(tenant_id="t", student_id="s"))
    file = write(tmp_path / "events", line, "{broken", '{"tenant_id": 1, "student_id": "s"}')
    assert list(records(file, timedelta())) == [
        (b"t/s", line.encode()),
        (None, b"{broken"),
        (None, b'{"tenant_id": 1, "student_id": "s"}'),
    ]


def test_a_shift_beyond_the_calendar_leaves_the_event(tmp_path: Path) -> None:
    """The event is in the future anyway, and the bridge reports it."""
    lines = [json.dumps(activity(timestamp=moment)) for moment in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z")]
    file = write(tmp_path / "events", *lines)
    assert next(records(file, timedelta(days=1)))[1] == lines[0].encode()
    assert list(records(file, timedelta(days=-1)))[1][1] == lines[1].encode()


def test_a_shift_moves_the_day_and_nothing_else(tmp_path: Path) -> None:
    """Time of day and offset stay; lines without a timestamp are unchanged."""
    text, number = activity(timestamp="2026-02-27T23:59:59.123+02:00"), activity(timestamp=1_767_484_800_000)
    file = write(tmp_path / "events", json.dumps(text), json.dumps(number), '{"timestamp": "soon"}')
    shifted = [json.loads(value) for _key, value in records(file, timedelta(days=2))]
    assert shifted == [
        {**text, "timestamp": "2026-03-01T23:59:59.123+02:00"},
        {**number, "timestamp": 1_767_484_800_000 + 2 * 86_400_000},
        {"timestamp": "soon"},
    ]
