"""What ``mastery batch`` is given: weights and lists of students."""

from io import BytesIO

import click
import pytest

from app.batches.batch import MAX_STUDENTS
from app.errors import InvalidInput
from app.mastery.formula import Weights
from cli.commands.batch_options import MAX_BYTES, WeightsType, read_students


class TestWeights:
    """The option --weights."""

    def test_those_that_are_not_given_are_the_default_ones(self) -> None:
        """Spaces do not matter."""
        assert WeightsType().convert("completion=0.5, quiz = 0.2", None, None) == Weights(0.5, 0.2, 0.2, 0.1)

    @pytest.mark.parametrize("text", ["", "quiz", "quiz=", "quiz=much", "quiz=nan", "quiz=0.9", "luck=0.1", "quiz=-0.3"])
    def test_what_is_no_weight_is_refused(self, text: str) -> None:
        """And what does not sum to 1."""
        with pytest.raises(click.BadParameter):
            WeightsType().convert(text, None, None)


class TestStudents:
    """The file of --students."""

    def test_a_line_is_an_id_or_json(self) -> None:
        """Blank lines, a byte order mark and the line ends of Windows do not matter; each student has its line."""
        found = read_students(BytesIO(b'\xef\xbb\xbfs-1\r\n\r\n  {"student_id": "s-2"}\r\n"s-3"'))
        assert found == (["s-1", {"student_id": "s-2"}, "s-3"], [1, 3, 4])

    @pytest.mark.parametrize("line", [b"{broken", b'"', b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"null", b"17"])
    def test_what_is_not_json_stays_text(self, line: bytes) -> None:
        """It is rejected like any other invalid id, and does not stop the rest."""
        first, second = read_students(BytesIO(line + b"\ns-1")).students
        assert (type(first), second) == (str, "s-1")

    def test_the_number_of_students_and_of_bytes_is_limited(self) -> None:
        """As many as the API takes, without blank lines."""
        most = b"s-1\n\n" * MAX_STUDENTS
        assert len(read_students(BytesIO(most)).students) == MAX_STUDENTS
        with pytest.raises(InvalidInput, match="at most 10,000 students"):
            read_students(BytesIO(most + b"s-2"))
        with pytest.raises(InvalidInput, match="at most 4,000,000 bytes"):
            read_students(BytesIO(b" " * (MAX_BYTES + 1)))
        with pytest.raises(InvalidInput, match="has no students"):
            read_students(BytesIO(b"\n"))
