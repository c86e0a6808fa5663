"""The proof of erasure: after it, nothing of ten of twenty students is found anywhere, and the other ten are untouched.

Every feature is filled first. Then the erased students' ids, event ids, marks and values are looked for in the whole Redis,
its append-only file, the dead letters, the logs and all files of the data folder.
"""

import random
import struct
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
import redis
import requests
from confluent_kafka.admin import AdminClient
from msgspec import json

from app.analytics.publish_statistics import publish_statistics
from app.analytics.published_store import Published
from app.bootstrap import Engine
from app.clock import day_number, system_clock
from app.config.settings import Settings
from app.mastery.evidence import MARK_BYTES, MILLIONTHS
from app.mastery.rankings import Metric
from app.privacy.register import REGISTER
from app.roles import Role
from consumers.kafka.record_reader import RecordReader
from tests.integration.batch_calls import BATCHES, ended
from tests.integration.conftest import LiveApi
from tests.integration.running_bridge import produce
from tests.learning_events import activity, completion, quality, quiz
from tests.stack import Stack, wait_for

SECONDS = 60.0
# Of the data folder: those of Redis, which docs/privacy.md describes, and others without personal data.
FILES = {"valkey", "logs", "lock", "stack.json", "bridge.heartbeat"}
TENANT = "school"
CLASSES = ("class-0", "class-1")
# What must be found before the erasure, besides ids: in the facts, batches, rankings, task results and marks.
KINDS = {
    "the quality in a message pack",
    "the quality as a number in a message pack",
    "the quality in text",
    "the score as a number in a message pack",
    "the score as a number of the server",
    "the score in text",
    "mark of event 0",
}


class Pupil:
    """A student, and everything that only this student has."""

    def __init__(self, number: int) -> None:
        chance = random.Random(number)
        self.id = f"pupil-{chance.randbytes(8).hex()}"
        self.word = f"w{chance.randbytes(8).hex()}"  # in fields of events that the engine ignores
        # Quality and mastery have six decimals, the last one not 0: a shorter number may be part of another one by chance.
        self.quality = (50 * chance.randrange(12_000, 18_000) + 3) / MILLIONTHS
        self.wrong = f"bad-{chance.randbytes(8).hex()}"
        timestamp = (datetime.now(UTC) - timedelta(hours=number % 5 + 1)).isoformat()
        same: dict[str, Any] = {"student_id": self.id, "cohort_id": f"class-{number % 2}", "timestamp": timestamp}
        scores = dict.fromkeys(("code_quality_score", "correctness_score", "efficiency_score"), self.quality)
        self.events = [
            quiz(quiz_id=self.word, **same),
            completion(exercise_id=self.word, **same),
            quality(submission_id=self.word, **scores, **same),
            activity(**same),
        ]
        self.invalid = quiz(quiz_id=self.word, total_questions=-1, **same) | {"event_id": self.wrong}

    @property
    def score(self) -> float:
        """The mastery, from the events: completion 0.8, quiz 0.8, quality, and one of 14 days active."""
        return round(0.4 * 0.8 + 0.3 * 0.8 + 0.2 * self.quality + 0.1 / 14, 6)

    @property
    def needles(self) -> dict[str, bytes]:
        """What must not be found, by name."""
        packed = struct.pack(">I", round(self.quality * MILLIONTHS))
        found = {
            "id": self.id.encode(),
            "a word of an event": self.word.encode(),
            "the id of an invalid event": self.wrong.encode(),
            "the quality in a message pack": b"\xce" + packed,
            "the quality in text": f"{self.quality:.6f}".encode(),
            "the quality as a number in a message pack": b"\xcb" + struct.pack(">d", self.quality),
            "the quality as a number of the server": struct.pack("<d", self.quality),
            "the score in text": f"{self.score:.6f}".encode(),
            "the score as a number in a message pack": b"\xcb" + struct.pack(">d", self.score),
            "the score as a number of the server": struct.pack("<d", self.score),
        }
        for number, event in enumerate(self.events):
            event_id = UUID(event["event_id"])
            found |= {
                f"id of event {number}": event["event_id"].encode(),
                f"bytes of the id of event {number}": event_id.bytes,
                f"mark of event {number}": blake2b(event_id.bytes, digest_size=MARK_BYTES).digest(),
            }
        return found


@pytest.fixture
def api(tmp_path: Path) -> Iterator[LiveApi]:
    """An API of a stack of its own."""
    with Stack(tmp_path / "data") as stack:
        yield LiveApi(stack, TENANT)


def fill(api: LiveApi, pupils: list[Pupil]) -> None:
    """Use every feature for every student."""
    engine = api.stack.engine
    engine.redis.config_set("zset-max-listpack-entries", 0)  # rankings have numbers then, as with many students, and no text
    events = [{**event, "tenant_id": TENANT} for pupil in pupils for event in pupil.events]
    sent = [{name: value for name, value in event.items() if name != "tenant_id"} for event in events]
    assert api.post("/mastery/ingest", {"events": sent}, {"Idempotency-Key": "fill"}).status_code == 202
    for pupil in pupils:
        wait_for(lambda pupil=pupil: full(api, pupil), SECONDS)  # type: ignore[misc]
    send_invalid(api, pupils)
    listed = [{"student_id": pupil.id, "components": {"quality": pupil.quality}} for pupil in pupils]
    whom: dict[str, dict[str, Any]] = {"listed": {"students": listed}, "all": {"all": True}, "class": {"cohort_id": "class-0"}}
    for batch_id, who in whom.items():
        answer = api.post(BATCHES, {"compute": "mastery", "batch_id": batch_id, **who}, {"Idempotency-Key": batch_id})
        assert answer.status_code == 202, answer.text
        ended(api, batch_id)
    publish(engine)
    for cohort in CLASSES:
        wait_for(lambda cohort=cohort: at_risk(api, cohort).status_code == 200, SECONDS)  # type: ignore[misc]
    for pupil in pupils:
        own: dict[str, Any] = {"role": Role.STUDENT, "subject": pupil.id}
        body = {"student_id": pupil.id}
        assert api.post("/mastery/query", body, **own).status_code == 200
        task = api.post("/mastery/calculate", body, {"Prefer": "respond-async"}, **own)
        wait_for(lambda task=task: is_done(api, task.headers["Location"]), SECONDS)  # type: ignore[misc]
        assert api.put(f"/student/{pupil.id}/consent", {"recommendations": False}, **own).status_code == 200
        assert api.post("/predictions/next-week", body, **own).status_code in {200, 202}
        assert api.post("/auth/revoke", {"subject": pupil.id}).status_code == 200
        engine.malformed_messages.set_aside("interactive", f'["{TENANT}", "{pupil.id}"]'.encode(), "is no call of its task")


def publish(engine: Engine) -> None:
    """Publish the statistics that students see, anew if beat sent the task meanwhile, of some students."""
    engine.published.drop(TENANT)
    today = day_number(system_clock())
    assert list(publish_statistics(TENANT, stores=engine.mastery, published=engine.published, today=today)) == [10, 10]
    assert all(statistics(engine))


def statistics(engine: Engine) -> list[Published | None]:
    """What is published of each class."""
    return [engine.published.read(TENANT, cohort, dict.fromkeys(Metric)) for cohort in CLASSES]


def shows_others(published: Published) -> bool:
    """Whether a class's statistics are those of its students that were not erased: five of ten."""
    return published.rankings[Metric.MASTERY].students == 5


def at_risk(api: LiveApi, cohort: str) -> requests.Response:
    return api.get(f"/predictions/at-risk?cohort_id={cohort}")


def full(api: LiveApi, pupil: Pupil) -> bool:
    answer = api.post("/mastery/query", {"student_id": pupil.id})
    return answer.status_code == 200 and answer.json()["data"]["coverage"] == 1


def is_done(api: LiveApi, location: str) -> bool:
    status: str = api.get(location).json()["data"]["status"]
    return status == "succeeded"


def send_invalid(api: LiveApi, pupils: list[Pupil]) -> None:
    """Produce events that become dead letters, and return when they are delivered."""
    engine = api.stack.engine
    produce(engine.settings, *(json.encode(pupil.invalid | {"tenant_id": TENANT}) for pupil in pupils))
    wait_for(lambda: sum(engine.ledger.counts().dead_letters.values()) == len(pupils), SECONDS)
    wait_for(lambda: not engine.ledger.letters_waiting(), SECONDS)


def seen(api: LiveApi, pupil: Pupil) -> dict[str, Any]:
    """What the API shows of a student."""
    rows = {
        batch_id: [
            row for row in api.get(f"{BATCHES}/{batch_id}/results").json()["data"]["results"] if row["student_id"] == pupil.id
        ]
        for batch_id in ("listed", "all", "class")
    }
    return {
        "mastery": api.post("/mastery/query", {"student_id": pupil.id}).json()["data"],
        "consent": api.get(f"/student/{pupil.id}/consent").json()["data"],
        "rows": rows,
    }


def everything(api: LiveApi) -> Iterator[tuple[str, bytes]]:
    """All that is stored, with the name of the place."""
    yield from redis_content(api.stack.engine.redis)
    settings = api.stack.engine.settings
    with closing(RecordReader(settings)) as reader:
        for message in reader.records(settings.dlq_topic, reader.bounds(settings.dlq_topic)):
            yield "a dead letter", b"\n".join([message.key() or b"", message.value() or b"", repr(message.headers()).encode()])
    yield "the stack's output", api.stack.log().encode()
    for path in api.stack.folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(api.stack.folder)), path.read_bytes()


def redis_content(client: redis.Redis) -> Iterator[tuple[str, bytes]]:
    """All keys of all databases, and all values as the server would write them to a file."""
    client.config_set("rdbcompression", "no")  # in dumps and in the append-only file
    rewrites = rewritten(client)
    client.bgrewriteaof()
    wait_for(lambda: rewritten(client) > rewrites, SECONDS)
    databases = int(cast("dict[str, str]", client.config_get("databases"))["databases"])
    options = client.connection_pool.connection_kwargs
    for number in range(databases):
        with redis.Redis(host=options["host"], port=options["port"], password=options.get("password"), db=number) as database:
            for key in database.scan_iter(count=1000):
                yield f"key {key!r}", key
                yield f"value of {key!r}", database.dump(key) or b""


def rewritten(client: redis.Redis) -> int:
    """How often the append-only file was rewritten."""
    info = client.info("persistence")
    return int(info["aof_rewrites"]) - int(info["aof_rewrite_in_progress"]) - int(info["aof_rewrite_scheduled"])


def found(api: LiveApi, pupils: list[Pupil]) -> list[str]:
    """Where something of the students is found."""
    needles = {needle: f"{name} of {pupil.id}" for pupil in pupils for name, needle in pupil.needles.items()}
    return [f"{name} in {place}" for place, content in everything(api) for needle, name in needles.items() if needle in content]


def test_nothing_is_found(api: LiveApi) -> None:
    """Of the erased ones; before the erasure each of them was found in many places."""
    pupils = [Pupil(number) for number in range(20)]
    erased, others = pupils[:10], pupils[10:]
    fill(api, pupils)
    before = {pupil.id: seen(api, pupil) for pupil in others}
    places = found(api, erased[:1])
    assert len(places) > 20, places
    assert {place.partition(" of pupil-")[0] for place in places} >= KINDS
    assert any("id of" in place and ":at-risk:class-0" in place for place in places)
    for pupil in erased[:5]:
        assert api.delete(f"/student/{pupil.id}").status_code == 202
    api.stack.mastery("erase", *(f"{TENANT}/{pupil.id}" for pupil in erased[5:]))
    for pupil in erased:
        wait_for(lambda pupil=pupil: state(api, pupil) == "done", SECONDS)  # type: ignore[misc]
    wait_for(lambda: not api.stack.engine.outbox.entries([TENANT]), SECONDS)
    assert found(api, erased) == []
    # Values without names stay, and are not shown. Beat may have published those of the others meanwhile.
    assert all(published is None or shows_others(published) for published in statistics(api.stack.engine))
    assert {pupil.id: seen(api, pupil) for pupil in others} == before
    assert topics(api.stack) == {getattr(Settings(), name) for data in REGISTER.values() for name in data.topics}
    assert {path.name for path in api.stack.folder.iterdir()} <= FILES


def topics(stack: Stack) -> set[str]:
    """All topics of the broker, but Kafka's own."""
    client = AdminClient({"bootstrap.servers": stack.running.kafka_bootstrap})
    return {name for name in client.list_topics(timeout=10).topics if not name.startswith("__")}


def state(api: LiveApi, pupil: Pupil) -> str:
    status: str = api.get(f"/student/{pupil.id}/erasure").json()["data"]["status"]
    return status
