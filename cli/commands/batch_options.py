"""What ``mastery batch`` is given: ids, weights, and lists of students."""

from typing import Any, BinaryIO, NamedTuple

import click
import msgspec

from app.batches.batch import MAX_STUDENTS
from app.errors import InvalidInput
from app.identifiers import IDENTIFIER_RULE, is_identifier
from app.mastery.formula import DEFAULT_WEIGHTS, Weights, check_weights

# Twice what 10,000 students with components take in an indented form. A longer input is not a list of students.
MAX_BYTES = 4_000_000


class IdentifierType(click.ParamType[str]):
    """An id of a tenant, a cohort or a batch."""

    name = "ID"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_identifier(str(value)):
            self.fail(IDENTIFIER_RULE, param, ctx)
        return str(value)


class WeightsType(click.ParamType[Weights]):
    """Weights as in ``completion=0.5,quiz=0.2``; those that are not given are the default ones."""

    name = "NAME=NUMBER,…"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Weights:
        if isinstance(value, Weights):  # the default
            return value
        weights = DEFAULT_WEIGHTS._asdict()
        for part in str(value).split(","):
            name, _, number = (each.strip() for each in part.partition("="))
            if name not in weights:
                self.fail(f"there is no weight {name!r}; there are {', '.join(weights)}", param, ctx)
            try:
                weights[name] = float(number)
            except ValueError:
                self.fail(f"{name} must be a number from 0 to 1", param, ctx)
        try:
            return check_weights(Weights(**weights))
        except InvalidInput as error:
            self.fail(str(error), param, ctx)


class StudentList(NamedTuple):
    """Students as ``submit_batch`` takes them, unchecked, and the line of each, from 1."""

    students: list[Any]
    lines: list[int]


def read_students(source: BinaryIO) -> StudentList:
    """Read one student per line: an id, or a JSON object as in the API's requests. Blank lines do not count.

    Returns:
        The students; a line that is not JSON although it looks so is left as text, which is no valid id.

    Raises:
        InvalidInput: There is none, or there are too many.
    """
    content = source.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InvalidInput("--students", f"must have at most {MAX_BYTES:,} bytes")
    found = StudentList([], [])
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line := line.strip():
            found.students.append(_student(line))
            found.lines.append(number)
    if not found.students:
        raise InvalidInput("--students", "has no students")
    if len(found.students) > MAX_STUDENTS:
        reason = f"must have at most {MAX_STUDENTS:,} students, not {len(found.students):,}; --cohort and --all have no limit"
        raise InvalidInput("--students", reason)
    return found


def _student(line: bytes) -> Any:
    if line.startswith((b"{", b'"')):
        try:
            return msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError):
            pass
    return line.decode(errors="replace")
