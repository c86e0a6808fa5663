"""GET /predictions/accuracy: forecasts of an API, scored when its clock has come to their day."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from api.accuracy import NOTHING, TOO_FEW
from app.config.settings import Settings
from app.predictions.current_forecast import current_forecast
from app.predictions.score_forecasts import score_forecasts
from app.roles import Role
from consumers.metrics import EngineCollector
from tests.conftest import NOW
from tests.integration.audit_calls import trail
from tests.integration.conftest import FixedTimeApi, api_with
from tests.learning_events import quiz

PATH = "/predictions/accuracy"
TEACHER: dict[str, Any] = {"role": Role.TEACHER, "cohorts": ("c-1", "c-9")}
EMPTY: dict[str, Any] = {"overall": None, "models": [], "cohorts": [], "next": None}


def get(api: FixedTimeApi, query: str = "", **caller: Any) -> dict[str, Any]:
    answer = api.call(f"{PATH}{query}", method="GET", **(caller or {"role": Role.ADMIN}))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def students(cohort: str, number: int) -> list[str]:
    return [f"{cohort}-s-{each}" for each in range(number)]


def predict(api: FixedTimeApi, cohort: str, number: int) -> None:
    """Forecast mastery of students of a cohort, each 0.3 · 0.8 now."""
    for student in students(cohort, number):
        given = {"student_id": student, "cohort_id": cohort, "correct_answers": 8}
        api.record(quiz(timestamp="2026-10-01T09:00:00Z", **given))
        current_forecast("t-1", student, using=api.engine.forecasting, now=NOW)


@pytest.fixture
def api(settings: Settings) -> Iterator[FixedTimeApi]:
    """With forecasts of five students of c-1, six of c-2 and one of c-3."""
    with api_with(settings) as made:
        for cohort, number in (("c-1", 5), ("c-2", 6), ("c-3", 1)):
            predict(made, cohort, number)
        yield made
        made.event_log.close()


@pytest.fixture
def later(api: FixedTimeApi) -> FixedTimeApi:
    """Eight days later, when they are scored; a student of c-1 has answered wrongly meanwhile: 0.3 · 8/20 is 0.12."""
    api.record(quiz(student_id="c-1-s-0", cohort_id="c-1", timestamp="2026-10-28T09:00:00Z", correct_answers=0))
    engine = replace(api.engine, clock=lambda: NOW + timedelta(days=8))
    steps = score_forecasts(
        records=engine.forecast_records, stores=engine.mastery, consents=engine.consents, now=engine.clock(), batch=5
    )
    assert sum(each.forecasts for each in steps) == 12
    return FixedTimeApi(engine)


def test_nothing_is_scored_yet(api: FixedTimeApi) -> None:
    """The answer says so, to admins and teachers, for a cohort and for all."""
    for query, caller in (("", {}), ("", TEACHER), ("?cohort_id=c-1", TEACHER), ("?cohort_id=c-nobody", {})):
        assert get(api, query, **caller) == EMPTY | {"note": NOTHING}


def test_a_tenant(later: FixedTimeApi) -> None:
    """Twelve forecasts of 0.24, one of them 0.12 off; cohorts by name, without the one that has a single student."""
    told = get(later)
    overall = told["overall"]
    assert (overall["forecasts"], overall["days"], overall["since"], overall["until"]) == (12, 1, "2026-11-04", "2026-11-04")
    assert (overall["mae"], overall["rmse"], overall["within_010"]) == pytest.approx(
        (0.12 / 12, 0.12 / 12**0.5, 11 / 12), abs=2e-3
    )
    assert 11 / 12 - 1e-6 <= overall["interval_coverage"] <= 1
    assert told["models"] == [{"model": "base", "model_version": "2", **overall}]
    found = {each["cohort_id"]: (each["forecasts"], round(each["mae"], 2)) for each in told["cohorts"]}
    assert found == {"c-1": (5, 0.02), "c-2": (6, 0.0)}
    assert (told["next"], told["note"]) == (None, None)


def test_a_teacher(later: FixedTimeApi) -> None:
    """Sees own cohorts only, overall too."""
    told = get(later, **TEACHER)
    assert [each["cohort_id"] for each in told["cohorts"]] == ["c-1"]
    assert told["overall"]["forecasts"] == 5
    assert get(later, "?cohort_id=c-1", **TEACHER) == told
    assert get(later, role=Role.TEACHER, cohorts=()) == EMPTY | {"note": NOTHING}


def test_a_cohort(later: FixedTimeApi) -> None:
    """Its own forecasts; one with too few students shows none, and says so."""
    told = get(later, "?cohort_id=c-2")
    assert told["overall"]["forecasts"] == 6
    assert get(later, "?cohort_id=c-3") == EMPTY | {"note": TOO_FEW}


def test_pages_of_cohorts(later: FixedTimeApi) -> None:
    """By name; each page has the same overall."""
    first = get(later, "?limit=1")
    second = get(later, f"?limit=1&cursor={first['next']}")
    assert [each["cohort_id"] for each in first["cohorts"] + second["cohorts"]] == ["c-1", "c-2"]
    assert first["overall"] == second["overall"] == get(later)["overall"]


@pytest.mark.parametrize(
    ("query", "caller"),
    [
        ("", {"role": Role.STUDENT, "subject": "c-1-s-0"}),
        ("", {"role": Role.SERVICE}),
        ("?cohort_id=c-2", TEACHER),
        ("?cohort_id=c-nobody", TEACHER),
    ],
)
def test_who_may_not(later: FixedTimeApi, query: str, caller: dict[str, Any]) -> None:
    """Students, services, and teachers for others' cohorts, whether they exist or not."""
    answer = later.call(f"{PATH}{query}", method="GET", **caller)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "FORBIDDEN")


def test_tenants_do_not_mix(later: FixedTimeApi) -> None:
    """Another tenant has scored nothing, also under the same cohort's name."""
    for query in ("", "?cohort_id=c-1"):
        assert get(later, query, role=Role.ADMIN, tenant="t-2") == EMPTY | {"note": NOTHING}


@pytest.mark.parametrize("field", ["limit=0", "limit=101", "limit=x", "cohort_id=c%201", "cohort_id=", "cursor=%7B", "days=3"])
def test_invalid_fields(later: FixedTimeApi, field: str) -> None:
    """422 with the field's name."""
    answer = later.call(f"{PATH}?{field}", method="GET")
    assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, [field.partition("=")[0]])


def test_the_audit_trail(later: FixedTimeApi) -> None:
    """Has who read it, of which cohort, and no student."""
    get(later)
    get(later, "?cohort_id=c-2")
    found = [(each["action"], each["outcome"], each.get("whose"), each.get("details")) for each in trail(later)]
    assert found == [
        ("predictions.accuracy", "done", None, None),
        ("predictions.accuracy", "done", None, {"cohort_id": "c-2"}),
    ]


def test_old_errors_do_not_count(later: FixedTimeApi) -> None:
    """After the days of the setting."""
    for days, expected in ((7 + 90, 12), (7 + 91, None)):
        then = NOW + timedelta(days=days)
        told = get(FixedTimeApi(replace(later.engine, clock=partial(lambda moment: moment, then))))["overall"]
        assert (told["forecasts"] if told else None) == expected


def test_the_metrics(later: FixedTimeApi) -> None:
    """The same over all tenants, by kind of model: no tenant, cohort or student is a label."""
    told = get(later)["overall"]
    metrics = EngineCollector(later.engine)._accuracy()  # the other ones need Kafka
    samples = [sample for metric in metrics for sample in metric.samples]
    assert {sample.name: round(sample.value, 6) for sample in samples} == {
        "mastery_forecasts_scored": 12,
        "mastery_forecast_mae": told["mae"],
        "mastery_forecast_within_010": told["within_010"],
        "mastery_forecast_interval_coverage": told["interval_coverage"],
    }
    assert [sample.labels for sample in samples] == [{"model": "base"}] * 4
