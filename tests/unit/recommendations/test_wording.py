"""The catalogue of texts, and the file that replaces some of them."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.errors import SettingsError
from app.mastery.facts import DayFacts
from app.mastery.formula import Level
from app.recommendations.advice import advise
from app.recommendations.learning_path import path_to
from app.recommendations.rules import Evidence, Priority
from app.recommendations.wording import MAX_BYTES, MAX_TEXT, Texts, load_wording, placeholders

TODAY, RETENTION = 20_000, 90
WEAK = {TODAY: DayFacts(correct=4, asked=10, quality_millionths=400_000, submissions=1, active=1, completed=1, total=10)}
ONE = {TODAY: DayFacts(correct=9, asked=10)}
EMPTY = {TODAY: DayFacts(active=1)}
HOPELESS = {TODAY: DayFacts(asked=10_000_000)}
STRONG = {day: DayFacts(correct=9, asked=10, quality_millionths=900_000, submissions=1, active=1, completed=1, total=1)
          for day in range(TODAY - 13, TODAY + 1)}  # fmt: skip


def written(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "wording.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(path)


def told(texts: Texts) -> str:
    """All answers that use any text."""
    answers: list[Any] = []
    for days in (WEAK, ONE, EMPTY, STRONG):
        answers += [advise("s-1", Evidence(days, TODAY, RETENTION), texts=texts)]
        answers += [path_to(level, "s-1", Evidence(days, TODAY, RETENTION), texts=texts) for level in Level]
    answers.append(advise("s-1", Evidence(ONE, TODAY, RETENTION), texts=texts, priority=Priority.LOW))
    answers += [path_to(Level.PROFICIENT, "s-1", Evidence(HOPELESS, TODAY, 365), texts=texts)]
    tiresome = {TODAY: DayFacts(asked=700)}
    answers += [path_to(Level.EXPERT, "s-1", Evidence(tiresome, TODAY, 365), texts=texts, minutes_per_day=15)]
    return msgspec.json.encode(answers).decode()


def test_every_text_is_used_with_every_placeholder_that_it_may_have(tmp_path: Path) -> None:
    """So a replaced text never fails, and none is there in vain."""
    texts = {key: f"«{key}»" + "".join(f"{{{name}}}" for name in placeholders(key)) for key in load_wording().of("t")}
    answers = told(load_wording(written(tmp_path, {"default": texts})).of("t"))
    assert [key for key in texts if f"«{key}»" not in answers] == []


def test_a_tenant_s_texts_come_before_the_default_and_this_before_the_catalogue(tmp_path: Path) -> None:
    """Each tenant may have its own language; what is missing falls back."""
    default, own = {"quiz.area": "Tests", "quality.area": "Work"}, {"quiz.area": "Quiz", "completion.area": "Übungen"}
    wording = load_wording(written(tmp_path, {"default": default, "tenants": {"de": own}}))
    names = ("quiz.area", "completion.area", "quality.area", "consistency.area")
    assert [wording.of("de")[name] for name in names] == ["Quiz", "Übungen", "Work", "Study days"]
    assert [wording.of("other")[name] for name in names] == ["Tests", "Exercises", "Work", "Study days"]
    found = advise("s-1", Evidence(WEAK, TODAY, RETENTION), texts=wording.of("de"), components=["completion"])
    assert found.recommendations[0].area == "Übungen"


def test_the_catalogue_itself_is_a_valid_file(tmp_path: Path) -> None:
    """It is the template for other languages."""
    catalogue = dict(load_wording().of("t"))
    assert load_wording(written(tmp_path, {"tenants": {"t": catalogue}})).of("t") == catalogue


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{student_id}", "{student_id} is refused; there are {amount}, {minutes}"),
        ("{amount.__class__}", "{amount.__class__} is refused"),
        ("{amount[0]}", "{amount[0]} is refused"),
        ("{amount:>1000000}", "{amount} is refused"),
        ("{amount!r}", "{amount} is refused"),
        ("{}", "{} is refused"),
        ("{0}", "{0} is refused"),
        ("{amount", "write {{ and }} for braces"),
        ("}", "write {{ and }} for braces"),
        ("", "must have 1 to 500 characters"),
        (" ", "must have 1 to 500 characters"),
        ("x" * (MAX_TEXT + 1), "must have 1 to 500 characters"),
    ],
)
def test_texts_that_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    """A text may have its own placeholders, without formats and attributes; the error names section and key."""
    path = written(tmp_path, {"tenants": {"de": {"quiz.what": text}}})
    with pytest.raises(SettingsError) as refused:
        load_wording(path)
    assert str(refused.value).startswith(f"MASTERY_WORDING_FILE: {path}: tenants.de, 'quiz.what': ")
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "truncated"),
        (b"{]", "malformed"),
        (b"[]", "Expected `object`"),
        ({"texts": {}}, "unknown field `texts`"),
        ({"default": {"quiz.area": 1}}, "Expected `str`"),
        ({"tenants": {"no tenant": {}}}, "tenants"),
        ({"default": {"quiz.title": "Quiz"}}, "default, 'quiz.title': there is no such text"),
        (b" " * (MAX_BYTES + 1), f"has more than {MAX_BYTES} bytes"),
        (b'{"default": {"quiz.area": "\xff"}}', "utf-8"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: Any, problem: str) -> None:
    """The error names the setting, the file and the problem."""
    path = written(tmp_path, content)
    with pytest.raises(SettingsError, match=r"^MASTERY_WORDING_FILE: ") as refused:
        load_wording(path)
    assert path in str(refused.value)
    assert problem in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The error has the system's reason."""
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_wording(str(tmp_path / "none.json"))


def test_every_problem_is_told(tmp_path: Path) -> None:
    """One line for each."""
    with pytest.raises(SettingsError) as refused:
        load_wording(written(tmp_path, {"default": {"a": "x", "quiz.area": "{x}"}, "tenants": {"t": {"b": "x"}}}))
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(("correct", "asked", "percent"), [(29, 100, 29), (57, 100, 57), (14, 50, 28), (699, 1000, 69)])
def test_percentages_are_rounded_down_once(correct: int, asked: int, percent: int) -> None:
    """Down, so that nobody is told to reach 70 % who has it; but not by the error of a float."""
    evidence = Evidence({TODAY: DayFacts(correct=correct, asked=asked)}, TODAY, RETENTION)
    (quiz,) = advise("s-1", evidence, texts=load_wording().of("t"), components=["quiz"]).recommendations
    assert f"{percent} %" in quiz.why
