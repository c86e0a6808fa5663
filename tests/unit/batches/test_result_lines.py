"""Results of a batch as JSON, NDJSON and CSV."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date

import pytest

from app.batches.batch import BatchOrder
from app.batches.batch_kinds import MASTERY_COLUMNS, NO_EVIDENCE, Row
from app.batches.result_lines import csv_lines, json_array, ndjson_lines, result_object
from app.clock import day_number
from app.mastery.formula import Components, Weights

ORDER = BatchOrder(day=day_number(date(2026, 10, 28)), weights=Weights(), owner="admin:a")
FROM_FACTS = Row("s-1", "", 0.45, Components(0.5, 0.5, None, 1.0), "c-1", "improving", 0.25)
GIVEN = Row("s-2", "", 1.0, Components(1.0, 1.0, 1.0, 1.0))
FAILED = Row("s-3", NO_EVIDENCE)
PARTS = [[FROM_FACTS, GIVEN], [FAILED]]

Lines = Callable[[BatchOrder, Iterable[list[Row]]], Iterator[bytes]]


def test_a_result_is_what_the_query_answers_or_an_error() -> None:
    """With given components, it has no cohort, day and trend. A failed one has the reason only."""
    first, second, third = (result_object(ORDER, row) for rows in PARTS for row in rows)
    assert (first["student_id"], first["score"], first["cohort_id"], first["date"], first["trend"]) == (
        *("s-1", 0.45, "c-1"),
        *("2026-10-28", "improving"),
    )
    assert (second["score"], "cohort_id" in second, "date" in second, "trend" in second) == (1.0, False, False, False)
    assert third == {"student_id": "s-3", "error": NO_EVIDENCE}


def test_ndjson_has_an_object_per_line_and_json_one_array() -> None:
    """Both have the same objects in the same order; a part is written as soon as it is there."""
    objects = [result_object(ORDER, row) for rows in PARTS for row in rows]
    pieces = list(ndjson_lines(ORDER, PARTS))
    assert [json.loads(line) for line in b"".join(pieces).splitlines()] == objects
    assert [piece.count(b"\n") for piece in pieces] == [2, 1]
    assert json.loads(b"".join(json_array(ORDER, PARTS))) == objects


def test_csv_has_a_header_and_empty_fields_for_what_is_not_known() -> None:
    """Each line has all columns; the error is empty if there is a result."""
    header, *lines = csv.reader(io.StringIO(b"".join(csv_lines(ORDER, PARTS)).decode(), newline=""))
    assert tuple(header) == MASTERY_COLUMNS
    first, second, third = (dict(zip(header, line, strict=True)) for line in lines)
    assert (first["error"], first["score"], first["quality"], first["date"]) == ("", "0.45", "", "2026-10-28")
    assert (second["completion"], second["cohort_id"], second["trend"], second["date"]) == ("1.0", "", "", "")
    assert third == {**dict.fromkeys(MASTERY_COLUMNS, ""), "student_id": "s-3", "error": NO_EVIDENCE}


@pytest.mark.parametrize(("lines", "written"), [(ndjson_lines, b""), (json_array, b"[]\n")])
def test_without_results_it_is_still_valid(lines: Lines, written: bytes) -> None:
    """JSON has an empty array, and NDJSON no line."""
    assert b"".join(lines(ORDER, [])) == written
