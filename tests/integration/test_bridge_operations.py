"""The bridge as seen by operators: Prometheus metrics, its state, and the command to resume."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from app.events.bridge_heartbeats import BridgeState, Heartbeat
from app.events.dead_letter import ErrorType
from app.events.event_totals import Totals
from app.events.positions import Beginning, Start
from app.health.removal_counts import Removed
from consumers.kafka.clients import producer
from consumers.kafka.paced_producer import STALLED_SECONDS
from tests.learning_events import activity, quiz
from tests.stack import Stack, wait_for

SECONDS = 30.0


def metrics(stack: Stack) -> dict[str, float]:
    """Every sample by name and labels."""
    text = requests.get(stack.running.bridge_metrics_url, timeout=10).text
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def readiness(stack: Stack) -> requests.Response:
    """Its answer may be that of a check that began just before: the stack itself polls, and concurrent callers share."""
    return requests.get(f"{stack.running.http_url}/ready", timeout=10)


def test_metrics_count_what_was_removed(stack: Stack) -> None:
    """Each kind of data that was removed at the end of its retention, from the start on."""
    before = metrics(stack)
    stack.engine.removal_counts.add(Removed.STUDENTS, 2)
    now = metrics(stack)
    assert {f"mastery_removed_total[{what.value}]" for what in Removed} <= before.keys()
    assert now["mastery_removed_total[students]"] >= before["mastery_removed_total[students]"] + 2


def test_metrics_count_what_becomes_of_records(stack: Stack, tenant: str) -> None:
    """Read, accepted, applied, duplicate, expired, dead-lettered; lag, chunks, the time of each stage. No ids in labels."""
    before = metrics(stack)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    event = activity(tenant_id=tenant, student_id="s-secret", timestamp=yesterday)
    old = activity(tenant_id=tenant, timestamp="2020-01-01T00:00:00Z")
    out = producer(stack.engine.settings)
    for each in (event, event, old, quiz(tenant_id=tenant, total_questions=0)):
        out.produce(stack.engine.settings.events_topic, json.dumps(each).encode())
    assert out.flush(10) == 0
    wait_for(lambda: stack.engine.event_totals.of(tenant) == Totals(1, 1, 1), SECONDS)

    def grown(name: str) -> float:
        return metrics(stack).get(name, 0.0) - before.get(name, 0.0)

    wait_for(lambda: grown("mastery_bridge_delivered_total[dlq]") == 1, SECONDS)
    for name, expected in {
        "mastery_bridge_records_total": 4,
        "mastery_bridge_rejected_total": 1,
        "mastery_records_accepted_total": 4,
        "mastery_events_total[applied]": 1,
        "mastery_events_total[duplicates]": 1,
        "mastery_events_total[expired]": 1,
        "mastery_events_total[erased]": 0,
        "mastery_erasures_running": 0,
        "mastery_dead_letters_total[validation_error]": 1,
    }.items():
        assert grown(name) == expected, name
    assert grown("mastery_bridge_chunk_records_sum") == 3
    for stage in ("read", "sort", "accept", "enqueue"):
        assert grown(f"mastery_bridge_stage_seconds_count[{stage}]") >= 1
    now = metrics(stack)
    assert sum(now[f"mastery_lag_records[{number}]"] for number in range(4)) == 0
    assert (now["mastery_bridge_halted"], now["mastery_chunks_in_flight"]) == (0, 0)
    assert not [name for name in now if "s-secret" in name or tenant in name]


def test_status_shows_the_bridges_and_what_is_in_flight(stack: Stack) -> None:
    """Operators can see whether it works."""
    said = stack.mastery("bridge", "status").stdout
    assert "running" in said
    assert "chunks in flight: 0" in said


def test_lost_events_degrade_the_engine_until_they_are_acknowledged(stack: Stack) -> None:
    """/ready returns 200, to stay in service, and reports the loss; doctor and status report it too."""
    engine = stack.engine
    start = Start(0, None, 7, lost=7)
    assert engine.positions.begin("of/a/test", "id", Beginning.FIRST, [start], previous="", is_loss=False)
    try:
        wait_for(lambda: readiness(stack).json()["data"]["status"] == "degraded", SECONDS)
        ready = readiness(stack)
        assert ready.status_code == 200
        assert "up to 7 events that Kafka has no longer" in ready.json()["data"]["dependencies"]["state"]["problem"]
        said = stack.mastery("doctor", check=False)
        assert (said.returncode, "✗ state: lost: up to 7 events" in said.stdout) == (1, True)
        assert "lost: up to 7 events" in stack.mastery("bridge", "status").stdout
        assert metrics(stack)["mastery_lost_records"] == 7
        stack.mastery("bridge", "acknowledge-loss")
        wait_for(lambda: readiness(stack).json()["data"]["status"] == "ready", SECONDS)
    finally:
        engine.losses.acknowledge(engine.losses.known())


def test_resume_says_whether_there_was_anything_to_resume(stack: Stack) -> None:
    """A halted bridge is resumed; otherwise nothing is stored."""
    assert stack.mastery("bridge", "resume").stdout == "no bridge is halted\n"
    bridges = stack.engine.bridges
    bridges.report("elsewhere-1", Heartbeat(BridgeState.HALTED, 0, 0))
    try:
        wait_for(lambda: readiness(stack).status_code == 503, SECONDS)
        assert "mastery bridge resume" in readiness(stack).json()["error"]["details"]["bridge"][0]
        assert stack.mastery("bridge", "resume").stdout == "halted bridges told to resume: 1\n"
    finally:
        bridges.leave("elsewhere-1")


def is_halted(stack: Stack) -> bool:
    return BridgeState.HALTED in {each.state for each in stack.engine.bridges.heartbeats().values()}


def test_replay_to_a_halted_bridge_ends_at_once(tmp_path: Path) -> None:
    """It names the command to resume; after `mastery bridge resume` replay works, and invalid records are dead-lettered."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    file = tmp_path / "events.ndjson"
    file.write_text(json.dumps(activity(tenant_id="t", timestamp=yesterday)))
    with Stack(tmp_path / "data") as stack:
        out = producer(stack.engine.settings)
        for _ in range(invalid := 2 * stack.settings.poison_records):
            out.produce(stack.engine.settings.events_topic, b"{broken")
        assert out.flush(10) == 0
        wait_for(lambda: is_halted(stack), SECONDS)
        began = time.monotonic()
        refused = stack.mastery("replay", str(file), check=False)
        assert time.monotonic() - began < STALLED_SECONDS / 2
        said = (refused.stdout + refused.stderr).replace("\n", " ")
        assert (1, False) == (refused.returncode, "Traceback" in said)
        assert "is halted: too many invalid records" in said
        assert "mastery bridge resume" in said
        assert stack.mastery("bridge", "resume").stdout == "halted bridges told to resume: 1\n"
        wait_for(lambda: stack.engine.ledger.counts().dead_letters.get(ErrorType.VALIDATION) == invalid, SECONDS)
        assert stack.mastery("replay", str(file)).returncode == 0
        assert stack.engine.event_totals.of("t").applied == 1
