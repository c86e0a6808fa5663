"""Event files are read as they are, and shifted by whole days."""

import gzip
import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from app.errors import InvalidInput
from cli.event_files import Survey, read_lines, records, survey
from tests.learning_events import activity


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("name", ["events.ndjson", "events.ndjson.gz", "no-suffix"])
def test_gzip_is_told_by_content_not_by_name(tmp_path: Path, name: str) -> None:
    """A misnamed file is read all the same."""
    plain, packed = tmp_path / name, tmp_path / f"packed-{name}"
    plain.write_bytes(b"one\n\ntwo\n")
    packed.write_bytes(gzip.compress(b"one\n\ntwo\n"))
    assert list(read_lines(plain)) == list(read_lines(packed)) == [b"one", b"two"]


def test_a_survey_counts_lines_and_finds_the_newest_day(tmp_path: Path) -> None:
    """Lines that are no events count too; they only have no day."""
    path = write(
        tmp_path / "events",
        json.dumps(activity(timestamp="2026-01-02T00:00:00Z")),
        json.dumps(activity(timestamp=1_767_484_800_000)),  # 2026-01-04
        json.dumps(activity(timestamp="soon")),
        json.dumps(activity(timestamp=10**30)),
        json.dumps(activity(timestamp=None)),
        "[]",
        "{broken",
    )
    assert survey(path) == Survey(7, date(2026, 1, 4))


def test_a_file_without_events_is_refused(tmp_path: Path) -> None:
    """Nothing to do is most likely a mistake."""
    with pytest.raises(InvalidInput, match="has no events"):
        survey(write(tmp_path / "empty", "", ""))


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(InvalidInput, match="cannot be read"):
        survey(tmp_path / "missing")


def test_a_line_that_kafka_would_not_take_is_refused_by_number(tmp_path: Path) -> None:
    """Before anything was sent."""
    path = write(tmp_path / "large", "{}", "", "x" * 10_000_000)
    with pytest.raises(InvalidInput, match="event 2 has 10,000,000 bytes"):
        survey(path)


def test_without_a_shift_lines_go_as_they_are(tmp_path: Path) -> None:
    """Byte for byte, keyed by tenant and student where they name them."""
    line = json.dumps(activity(tenant_id="t", student_id="s"))
    path = write(tmp_path / "events", line, "{broken", '{"tenant_id": 1, "student_id": "s"}')
    assert list(records(path, timedelta())) == [
        (b"t/s", line.encode()),
        (None, b"{broken"),
        (None, b'{"tenant_id": 1, "student_id": "s"}'),
    ]


def test_a_shift_moves_the_day_and_nothing_else(tmp_path: Path) -> None:
    """Time of day and offset stay; what has no time stays as it is."""
    text, number = activity(timestamp="2026-02-27T23:59:59.123+02:00"), activity(timestamp=1_767_484_800_000)
    path = write(tmp_path / "events", json.dumps(text), json.dumps(number), '{"timestamp": "soon"}')
    shifted = [json.loads(value) for _key, value in records(path, timedelta(days=2))]
    assert shifted == [
        {**text, "timestamp": "2026-03-01T23:59:59.123+02:00"},
        {**number, "timestamp": 1_767_484_800_000 + 2 * 86_400_000},
        {"timestamp": "soon"},
    ]
