"""Workers train models in a process of its own, which ends with them, and observe what models look at."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.audit.entry import AuditOutcome, SystemAction
from app.bootstrap import Engine
from app.clock import day_number, system_clock
from app.config.settings import Settings
from app.predictions.forecast_errors import LEARNED
from app.predictions.model_store import Attempt
from app.roles import Role
from tasks.models import observe, train
from tests.classrooms import enrol, seesaw
from tests.integration.test_audit_tasks import entries, send
from tests.stack import Stack, wait_for, without_settings

PROJECT = Path(__file__).parents[2]
SECONDS = 300.0


@pytest.fixture(scope="module")
def training_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose workers train."""
    with Stack(tmp_path_factory.mktemp("training"), MASTERY_TRAINING="on") as running:
        yield running


def today() -> int:
    return day_number(system_clock())


def actions(engine: Engine, tenant: str, action: str) -> list[dict[str, str | int | bool]]:
    return [each.details for each in entries(engine, tenant) if each.action == action]


def test_a_worker_trains(training_stack: Stack) -> None:
    """Each tenant's model, once a day; then forecasts are the model's, and what it looks at is observed every day."""
    engine, models, peers = training_stack.engine, training_stack.engine.learning.models, training_stack.engine.learning.peers
    enrol(engine, "seesaw", 45, seesaw, "learns", today())
    enrol(engine, "seesaw", 5, seesaw, "small", today())
    send(training_stack, train)
    wait_for(lambda: None not in [models.latest_attempt(tenant) for tenant in ("learns", "small")], SECONDS)
    version = models.promoted("learns")
    assert version is not None
    assert models.summary("learns", version).overall.answerer == LEARNED
    wait_for(lambda: bool(actions(engine, "small", SystemAction.TRAIN_MODEL)), SECONDS)
    wait_for(lambda: bool(actions(engine, "learns", SystemAction.TRAIN_MODEL)), SECONDS)
    assert actions(engine, "learns", SystemAction.TRAIN_MODEL) == [{"trained": True, "version": version, "students": 45}]
    assert actions(engine, "small", SystemAction.TRAIN_MODEL) == [{"trained": False}]

    headers = {"Authorization": f"Bearer {training_stack.token(Role.ADMIN, 'learns')}"}
    url, body = f"{training_stack.running.http_url}/predictions/next-week", {"student_id": "seesaw-1"}
    wait_for(lambda: requests.post(url, json=body, headers=headers, timeout=30).status_code == 200, SECONDS)  # busy cores: 202
    told = requests.post(url, json=body, headers=headers, timeout=30).json()["data"]
    assert (told["model"], told["model_version"], told["warnings"]) == ("learned", version, [])

    (observed,) = peers.read("learns", ["seesaw"])
    assert observed is not None
    assert (observed.day, observed.peers is None) == (today() - 1, False)
    engine.redis.delete(f"{engine.settings.key_prefix}:{{learns}}:peers:seesaw")
    send(training_stack, train)  # nothing is due
    send(training_stack, observe)
    wait_for(lambda: peers.read("learns", ["seesaw"]) == [observed], SECONDS)
    wait_for(lambda: bool(actions(engine, "learns", SystemAction.OBSERVE_PEERS)), SECONDS)
    assert actions(engine, "learns", SystemAction.OBSERVE_PEERS) == [{"students": 45}]
    assert (list(models.summaries("learns")), actions(engine, "small", SystemAction.OBSERVE_PEERS)) == ([version], [])


def begun(settings: Settings, program: str, stdout: int | None = None) -> "subprocess.Popen[bytes]":
    """A training as a worker starts it, while it works on a tenant."""
    environment = without_settings() | {"MASTERY_REDIS_URL": settings.redis_url, "MASTERY_KEY_PREFIX": settings.key_prefix}
    return subprocess.Popen([sys.executable, "-c", program], cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=stdout)


def is_training(engine: Engine) -> bool:
    return bool(engine.redis.exists(f"{engine.settings.key_prefix}:{{t}}:training"))


def test_it_ends_with_the_worker(engine: Engine, settings: Settings) -> None:
    """Whose end closes its input, also by SIGKILL. Nothing is noted, so that the training begins again."""
    enrol(engine, "seesaw", 200, seesaw, today=today())
    with begun(settings, "from tasks.train_models import main; main()") as process:
        wait_for(lambda: is_training(engine), SECONDS)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(SECONDS) == 1
    models = engine.learning.models
    assert (models.promoted("t"), models.latest_attempt("t"), models.summaries("t")) == (None, None, {})


def ended(settings: Settings, program: str) -> int:
    """The exit code of a training that ends by itself."""
    with begun(settings, program) as process:
        return process.wait(SECONDS)


def test_it_takes_bounded_time(engine: Engine, settings: Settings) -> None:
    """A training that takes longer is ended. That is noted and audited, so that it begins again the next day, not each hour."""
    enrol(engine, "seesaw", 200, seesaw, today=today())
    assert ended(settings, "import tasks.train_models as it; it.TRAINING_SECONDS = 1; it.main()") == 0
    noted = engine.learning.models.latest_attempt("t")
    assert noted == Attempt(today(), "failed: it took too long", failed=True)
    assert [(each.action, each.outcome) for each in entries(engine, "t")] == [(SystemAction.TRAIN_MODEL, AuditOutcome.FAILED)]
    assert ended(settings, "from tasks.train_models import main; main()") == 0
    assert engine.learning.models.latest_attempt("t") == noted


def test_one_that_cannot_be_ended_is_killed(engine: Engine, settings: Settings) -> None:
    """By the signal that should have ended it."""
    enrol(engine, "seesaw", 200, seesaw, today=today())
    stubborn = """
import tasks.train_models as it

def train(*_, **__):
    while True:
        try:
            while True:
                pass
        except it.TookTooLong:
            pass

it.TRAINING_SECONDS = it.ENDING_SECONDS = 1
it.train_tenant_model = train
it.main()
"""
    assert ended(settings, stubborn) == -signal.SIGALRM


def test_one_fails_and_the_others_go_on(engine: Engine, settings: Settings) -> None:
    """The log names the tenant and where it failed, not the message, which may quote data; the audit trail has it too."""
    for tenant in ("fails", "t"):
        enrol(engine, "seesaw", 45, seesaw, tenant, today())
    failing = """
import tasks.train_models as it
real = it.train_tenant_model

def train(tenant, **options):
    if tenant == "fails":
        raise ValueError("seesaw-1")
    return real(tenant, **options)

it.train_tenant_model = train
it.main()
"""
    with begun(settings, failing, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        log = process.stdout.read().decode()
        assert process.wait(SECONDS) == 0
    assert "the training of a model of fails failed: ValueError" in log
    assert "seesaw-1" not in log
    assert [each.outcome for each in entries(engine, "fails")] == [AuditOutcome.FAILED]
    assert actions(engine, "t", SystemAction.TRAIN_MODEL)[0]["trained"] is True


def test_one_process_trains(engine: Engine, settings: Settings) -> None:
    """Of a deployment; another one ends at once, and takes its turn when the first has ended."""
    enrol(engine, "seesaw", 45, seesaw, today=today())
    first = engine.learning.models.deployment_lease()
    assert first.hold(0)
    assert ended(settings, "from tasks.train_models import main; main()") == 0
    assert engine.learning.models.latest_attempt("t") is None
    first.release()
    assert ended(settings, "from tasks.train_models import main; main()") == 0
    assert engine.learning.models.promoted("t") is not None
    assert engine.learning.models.deployment_lease().hold(0)
