"""``mastery evaluate``: an event file in; how good forecasts would have been out."""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from app.predictions.back_test import ALL_METHODS, HOLT, OLS_14, OLS_30, WEEKLY_CHOICE
from app.predictions.forecast_errors import BASE, LAST_VALUE, LEARNED
from cli.commands.evaluate_report import Report, tables
from cli.commands.evaluate_risk import risk_tables
from cli.main import main
from tests.learning_events import activity, completion, quality, quiz

STUDENTS, DAYS, FIRST = 30, 45, date(2026, 2, 2)


def classroom() -> Iterator[dict[str, Any]]:
    """Two cohorts of students who do an exercise a week, and quizzes and reviews now and then."""
    dice = random.Random(0)
    for cohort in ("a", "b"):
        for student in range(STUDENTS):
            whose = {"student_id": f"s-{student}", "cohort_id": cohort, "tenant_id": f"t-{cohort}"}
            for day in range(DAYS):
                when = {"timestamp": f"{FIRST + timedelta(days=day)}T09:00:00Z"} | whose
                if dice.random() < 0.5:
                    yield activity(**when)
                if day % 7 == student % 3:
                    yield completion(**when, total_exercises=day // 7 + 1, completed_exercises=dice.randint(0, day // 7 + 1))
                if dice.random() < 0.05:
                    yield quiz(**when)
                if dice.random() < 0.05:
                    yield quality(**when)


def written(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *arguments])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """The back-test of the classroom, as JSON, with plots; one line is not an event."""
    folder = tmp_path_factory.mktemp("evaluate")
    file = written(folder / "events.ndjson", [*map(json.dumps, classroom()), "not an event"])
    return evaluate(str(file), "--json", "--plot", str(folder / "plot")), folder


def test_the_results_are_json_on_standard_output(results: tuple[Result, Path]) -> None:
    """Every method, of all and of each cohort; progress and messages are on standard error."""
    done, _ = results
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [(each["tenant_id"], each["cohort_id"]) for each in found["cohorts"]] == [("t-a", "a"), ("t-b", "b")]
    assert list(found["overall"]["methods"]) == list(ALL_METHODS)
    assert found["overall"]["students"] == 2 * STUDENTS
    for report in (found["overall"], *found["cohorts"]):
        for name, measures in report["methods"].items():
            assert 0 < measures["mae"] <= measures["rmse"] < 1
            assert 0 <= measures["within_010"] <= 1
            assert (measures["interval_coverage"] is None) == (name in {OLS_14, OLS_30, HOLT})
        assert report["methods"][LAST_VALUE]["mae_ratio"] == 1
        assert sum(report["answered_by"].values()) == report["methods"][WEEKLY_CHOICE]["forecasts"]
        assert set(report["answered_by"]) == {LAST_VALUE, BASE, LEARNED}
    assert sum(each["methods"][WEEKLY_CHOICE]["forecasts"] for each in found["cohorts"]) == sum(
        found["overall"]["answered_by"].values()
    )


def test_risk_is_judged_beside_the_rule(results: tuple[Result, Path]) -> None:
    """Of all and of each cohort, 30 days after the first; the file has no 60 days. The table has the same numbers."""
    done, _ = results
    found = msgspec.json.decode(done.stdout, type=Report)
    assert [(each.cohort_id, each.day) for each in found.risk] == [("all", 30), ("a", 30), ("b", 30)]
    overall, *cohorts = found.risk
    assert overall.students == sum(each.students for each in cohorts)
    for each in found.risk:
        assert 0 <= each.base_rate <= 1
        assert each.calibration_error is not None
        assert 0 <= each.calibration_error <= 1
    console = Console(width=200, record=True)
    for table in risk_tables(found.risk):
        console.print(table)
    assert f"{overall.calibration_error:.3f}" in console.export_text()


def test_lines_that_are_no_events_are_counted(results: tuple[Result, Path]) -> None:
    """With the first reason, and not silently left out."""
    done, _ = results
    assert "not valid events and do not count: 1; the first: line" in done.stderr


def test_the_plot_is_a_picture_in_two_formats(results: tuple[Result, Path]) -> None:
    """PNG and SVG, with the names of the cohorts."""
    _, folder = results
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    picture = ET.fromstring((folder / "plot.svg").read_text())
    assert picture.tag.endswith("svg")
    text = " ".join(picture.itertext())
    assert all(each in text for each in ("t-a/a", "t-b/b"))


def test_without_json_there_are_tables(results: tuple[Result, Path]) -> None:
    """All methods, each cohort, and the groups of evidence whose intervals cover least."""
    done, _ = results
    found = msgspec.json.decode(done.stdout, type=Report)
    console = Console(width=200, record=True)
    for table in tables(found):
        console.print(table)
    text = console.export_text()
    assert f"{found.overall.methods[WEEKLY_CHOICE].mae:.4f}" in text
    assert "t-a/a" in text
    assert min(found.groups, key=lambda each: each.interval_coverage).group in text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{}"], "has no valid event"),
        ([json.dumps(activity())], "spans too few days"),
    ],
)
def test_a_file_without_anything_to_check_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    """It names the file and says why."""
    done = evaluate(str(written(tmp_path / "events.ndjson", lines)))
    assert done.exit_code == 1
    assert "events.ndjson" in done.output
    assert message in done.output.replace("\n", " ")
    assert "Traceback" not in done.output


def test_a_plot_in_a_missing_folder_is_refused_at_once(tmp_path: Path) -> None:
    """Not after minutes of training."""
    file = written(tmp_path / "events.ndjson", [json.dumps(activity())])
    done = evaluate(str(file), "--plot", str(tmp_path / "missing" / "plot"))
    assert done.exit_code == 2
    assert "missing does not exist" in done.output.replace("\n", " ")
