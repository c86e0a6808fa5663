"""``mastery model``: operators see how models were tested, train them, and choose which one answers."""

import json

import pytest

from app.bootstrap import Engine
from app.clock import day_number, system_clock
from app.config.settings import Settings
from app.predictions.forecast_errors import BASE
from app.predictions.model_store import Attempt
from app.predictions.stored_model import BackTest
from tests.classrooms import enrol, seesaw
from tests.integration.audit_calls import deeds, engine_trail, mastery
from tests.stored_models import CONTENT, RISK_TESTED, TESTED, summary

TENANT = ("--tenant", "t")


@pytest.fixture
def stored(engine: Engine) -> Engine:
    """A tenant with two models, of which the first answers."""
    engine.redis.sadd(f"{engine.settings.key_prefix}:tenants", "t")
    for version in ("v-1", "v-2"):
        engine.learning.models.put(summary(version), CONTENT)
    engine.learning.models.promote("t", "v-1")
    return engine


def test_training(engine: Engine, settings: Settings) -> None:
    """It prints the back-test of the model, which answers at once, and leaves an entry in the audit trail."""
    enrol(engine, "seesaw", 45, seesaw, today=day_number(system_clock()))
    done = mastery(settings, "model", "train", *TENANT)
    assert done.exit_code == 0, done.output
    version = engine.learning.models.promoted("t")
    assert f"{version}, trained on 1,170 days of 45 students until" in done.output
    assert "It answers; in each cohort by the method with the *." in done.output
    rows = [line.split() for line in done.output.split("\n") if "learned *" in line or "last value" in line]
    assert [row[-5] for row in rows] == ["630"] * 4  # of all and of the cohort
    assert deeds(engine, "t") == [("model.train", {})]
    told = json.loads(mastery(settings, "model", "show", *TENANT, "--json").output)
    assert (told["version"], told["answers"], told["overall"]["answered_by"]) == (version, True, "learned")
    (cohort,) = told["cohorts"]
    assert cohort["cohort_id"] == "seesaw"
    assert cohort["methods"]["learned"]["mae"] < cohort["methods"]["last value"]["mae"] / 4
    assert 0.5 <= cohort["methods"]["learned"]["interval_coverage"] <= 1


def test_too_little_to_train(engine: Engine, settings: Settings) -> None:
    """It says how much is missing, and so does the list."""
    enrol(engine, "seesaw", 5, seesaw, today=day_number(system_clock()))
    done = mastery(settings, "model", "train", *TENANT)
    reason = "there are 130 students and days to learn from; 1,000 are needed"
    assert done.exit_code == 1
    assert f"Error: {reason}" in done.output
    assert reason in mastery(settings, "model", "list", *TENANT).output


def test_the_list(stored: Engine, settings: Settings) -> None:
    """The newest first, with the one that answers, whose risk is learned, and what is damaged; as JSON too."""
    stored.learning.models.put(summary("v-2", risk=RISK_TESTED), CONTENT)
    stored.redis.hset(f"{settings.key_prefix}:{{t}}:models", "v-0", "damaged")
    stored.learning.models.note_attempt("t", Attempt(20_000, "promoted"))
    lines = mastery(settings, "model", "list", *TENANT).output.split("\n")
    rows = [line.split() for line in lines if line.strip().startswith("v-")]
    assert [row[:2] for row in rows] == [["v-2", "2026-10-28"], ["v-1", "yes"], ["v-0", "damaged"]]
    assert [row[-4:] for row in rows[:2]] == [["learned", "0.0500", "0.500", risk] for risk in ("learned", "table")]
    assert "latest training: 2024-10-04, promoted" in lines
    told = json.loads(mastery(settings, "model", "list", *TENANT, "--json").output)
    assert [(each["version"], each["answers"]) for each in told] == [("v-2", False), ("v-1", True)]


def test_showing_one(stored: Engine, settings: Settings) -> None:
    """The one that answers, unless another is named."""
    assert (
        "v-1, trained on 1,500 days of 60 students until 2026-10-27\nIt answers"
        in mastery(settings, "model", "show", *TENANT).output
    )
    assert "It does not answer." in mastery(settings, "model", "show", "v-2", *TENANT).output
    gone = mastery(settings, "model", "show", "v-3", *TENANT)
    assert (gone.exit_code, gone.output) == (1, "Error: t has no model v-3\n")
    base = BackTest(TESTED.errors, BASE)
    stored.learning.models.put(summary("v-3", overall=base, cohorts={}), CONTENT)
    stored.learning.models.promote("t", "v-3")
    everywhere = "It answers by the base model everywhere, with intervals from these students' past errors."
    assert everywhere in mastery(settings, "model", "show", *TENANT).output
    stored.learning.models.put(summary("v-3", overall=base, cohorts={}, risk=RISK_TESTED), CONTENT)
    of_risk = "It answers for the risk only; scores are forecast by the base model"
    assert of_risk in mastery(settings, "model", "show", *TENANT).output
    stored.learning.models.retire("t")
    none = mastery(settings, "model", "show", *TENANT)
    assert (none.exit_code, "no learned model answers for t" in none.output) == (1, True)


def test_showing_the_risk(stored: Engine, settings: Settings) -> None:
    """How it did, beside the table and the rule, and which of them answers; nothing of it where there is no learned risk."""
    stored.learning.models.put(summary("v-3", risk=RISK_TESTED), CONTENT)
    output = mastery(settings, "model", "show", "v-3", *TENANT).output
    assert "At risk 14 days later: 200 of 700 students and days" in output
    lines = [line.split() for line in output.split("\n")]
    for row in (["rule", "0.400", "-", "-"], ["table", "0.600", "0.090", "0.500"], ["learned", "*", "0.700", "0.040", "0.400"]):
        assert row in lines
    told = json.loads(mastery(settings, "model", "show", "v-3", *TENANT, "--json").output)["risk"]
    assert (told["tested"], told["at_risk"], told["answers"]) == (700, 200, True)
    assert told["rule"] == {"average_precision": 0.4, "calibration_error": None, "log_loss": None}
    assert told["learned"] == {"average_precision": 0.7, "calibration_error": 0.04, "log_loss": 0.4}
    assert "At risk" not in mastery(settings, "model", "show", "v-1", *TENANT).output
    assert json.loads(mastery(settings, "model", "show", "v-1", *TENANT, "--json").output)["risk"] is None


def test_promoting_and_going_back(stored: Engine, settings: Settings) -> None:
    """Each says what answers then, and leaves an entry; the last one has nothing to go back to, and says that."""
    told = [
        mastery(settings, "model", *arguments, *TENANT).output
        for arguments in (("promote", "v-2"), ("rollback",), ("rollback",), ("rollback",))
    ]
    assert told == [
        "v-2 answers now\n",
        "v-1 answers now\n",
        "the base model answers now\n",
        "Error: t has no model to go back from\n",
    ]
    assert [(each["action"], each["outcome"], each["details"]) for each in engine_trail(stored, "t")] == [
        ("model.promote", "done", {"from": "v-1", "to": "v-2"}),
        ("model.rollback", "done", {"from": "v-2", "to": "v-1"}),
        ("model.rollback", "done", {"from": "v-1", "to": "base"}),
        ("model.rollback", "not_found", {"from": "base"}),
    ]


def test_what_a_model_looks_at_is_observed(stored: Engine, settings: Settings) -> None:
    """Before another model answers: no worker does it while none did. That is audited, too."""
    today = day_number(system_clock())
    enrol(stored, "seesaw", 12, seesaw, today=today)
    done = [("model.promote", {"from": "v-1", "to": "v-2"}), ("model.rollback", {"from": "v-2", "to": "v-1"})]
    for number, command in enumerate((("promote", "v-2"), ("rollback",))):
        assert mastery(settings, "model", *command, *TENANT).exit_code == 0
        (observed,) = stored.learning.peers.read("t", ["seesaw"])
        assert observed is not None
        assert (observed.day, observed.peers is None) == (today - 1, False)
        assert deeds(stored, "t")[2 * number :] == [done[number], ("peers.observe", {"students": 12})]
        stored.redis.delete(f"{settings.key_prefix}:{{t}}:peers:seesaw")


def test_forgetting(stored: Engine, settings: Settings) -> None:
    """Nothing is left to go back to, nor of what models look at; a training that runs stores nothing."""
    lease = stored.learning.models.lease("t")
    assert lease.hold(0)
    assert mastery(settings, "model", "forget", *TENANT).output == "2 deleted; the base model answers now\n"
    assert (stored.learning.models.summaries("t"), lease.prolong(900)) == ({}, False)
    assert mastery(settings, "model", "rollback", *TENANT).exit_code == 1
    assert deeds(stored, "t")[0] == ("model.forget", {})


def test_what_cannot_answer_is_not_promoted(stored: Engine, settings: Settings) -> None:
    """A model of another version of the engine, damaged, or that does not exist; the entries say that it was not done."""
    models = stored.learning.models
    models.put(summary("v-3", features=("other",)), CONTENT)
    models.put(summary("v-4"), CONTENT)
    stored.redis.set(f"{settings.key_prefix}:{{t}}:model:v-4", "damaged")
    for version, reason in (("v-3", "another version of the engine"), ("v-4", "damaged"), ("v-5", "t has no model v-5")):
        done = mastery(settings, "model", "promote", version, *TENANT)
        assert (done.exit_code, reason in done.output) == (1, True), done.output
    assert models.promoted("t") == "v-1"
    assert [(each["outcome"], each["details"]) for each in engine_trail(stored, "t")] == [
        ("failed", {"from": "v-1", "to": "v-3"}),
        ("failed", {"from": "v-1", "to": "v-4"}),
        ("not_found", {"from": "v-1", "to": "v-5"}),
    ]


@pytest.mark.parametrize("command", [("list",), ("show",), ("train",), ("promote", "v-1"), ("rollback",), ("forget",)])
def test_an_unknown_tenant(settings: Settings, command: tuple[str, ...]) -> None:
    """It is named; an id that is none is refused."""
    done = mastery(settings, "model", *command, "--tenant", "nobody")
    assert (done.exit_code, done.output) == (1, "Error: there is no such tenant: nobody\n")
    assert mastery(settings, "model", *command, "--tenant", "a b").exit_code == 2
