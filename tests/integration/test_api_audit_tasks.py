"""Tasks started by callers are in the audit trail under the caller's name."""

from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery
from kombu import Queue

from app.audit.entry import Actor
from app.audit.verify_trail import verify_trail
from app.roles import Role
from tasks.queues import INTERACTIVE
from tests.integration.audit_calls import QUERY
from tests.integration.conftest import LiveApi
from tests.learning_events import quiz
from tests.stack import wait_for

TASK_SECONDS = 20.0


def test_a_task_leaves_an_entry_of_its_own(live_api: LiveApi) -> None:
    """It has the caller, the correlation id, and the student; reading the result leaves an entry too."""
    event = quiz(tenant_id=live_api.tenant, timestamp=(datetime.now(UTC) - timedelta(days=1)).isoformat())
    engine = live_api.stack.engine
    assert live_api.post("/mastery/ingest", {"event": event}).status_code == 202
    wait_for(lambda: live_api.post("/mastery/query", QUERY).status_code == 200, TASK_SECONDS)
    headers = {"X-Correlation-ID": "the-one", "Prefer": "respond-async"}
    student = {"role": Role.STUDENT, "subject": "s-1"}
    accepted = live_api.post("/mastery/calculate", QUERY, headers, **student)
    location = accepted.headers["Location"]
    wait_for(lambda: live_api.get(location, **student).json()["data"]["status"] == "succeeded", TASK_SECONDS)

    def entries(query: str) -> list[tuple[Any, ...]]:
        told = live_api.get(f"/audit?{query}").json()["data"]["entries"]
        return [(each["channel"], each["role"], each["action"], each["outcome"], each["who"], each["whose"]) for each in told]

    me = engine.audit.pseudonym(live_api.tenant, "s-1")
    assert sorted(entries("correlation_id=the-one")) == [
        ("api", "student", "mastery.calculate", "accepted", me, [me]),
        ("task", "student", "mastery.calculate", "done", me, [me]),
    ]
    assert entries("action=task.read&limit=1") == [("api", "student", "task.read", "done", me, [me])]
    assert entries("action=mastery.ingest") == [("api", "admin", "mastery.ingest", "accepted", "tester", [me])]
    assert verify_trail(live_api.tenant, trails=engine.audit).findings == []


def test_a_task_that_the_engine_did_not_send(live_api: LiveApi) -> None:
    """A person who can write to Redis can start a calculation, but not make the trail name a caller for it."""
    audit, tenant = live_api.stack.engine.audit, live_api.tenant
    weights = [0.4, 0.3, 0.2, 0.1]
    real = audit.actor_signer.sign([tenant, "mastery.calculate", "s-1", weights], Actor("admin", "boss"), "real")
    another_tenants = audit.actor_signer.sign(["t-2", "mastery.calculate", "s-1", weights], Actor("admin", "boss"), "forged")
    sender = Celery(broker=live_api.stack.running.broker_url)
    sender.conf.task_queues = [Queue(INTERACTIVE)]
    sender.conf.broker_transport_options = {"global_keyprefix": f"{live_api.stack.settings.key_prefix}:celery:"}
    with sender:
        for signed_actor in (None, ["admin", "boss", "forged", "0" * 64], list(another_tenants), list(real)):
            arguments = [tenant, "s-1", weights, *([] if signed_actor is None else [signed_actor])]
            sender.send_task("mastery.calculate", arguments, queue=INTERACTIVE)

    def entries() -> list[tuple[Any, ...]]:
        told = live_api.get("/audit?action=mastery.calculate").json()["data"]["entries"]
        return [(each["role"], each["who"], each["correlation_id"], each["details"]) for each in told]

    wait_for(lambda: len(entries()) == 4, TASK_SECONDS)
    unproven = ("system", "worker", "", {"asked_by": "unproven"})
    assert sorted(entries(), key=str) == [("admin", "boss", "real", {}), unproven, unproven, unproven]
