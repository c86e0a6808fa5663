"""What tests of ``mastery dlq`` use: their own topics, dead letters as in the contract, and the commands."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from click.testing import CliRunner, Result
from confluent_kafka import KafkaError, Message

from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.events.handled_letters import Place
from app.events.seal_letters import seal_letters
from cli.main import main
from consumers.kafka.clients import place as place_of
from consumers.kafka.clients import producer
from consumers.kafka.record_reader import RecordReader
from tests.conftest import make_topics
from tests.dead_letters import failed_record

SECONDS = 60.0
NOW = datetime.now(UTC)


class Dlq:
    """The topics of a test, the dead letters it writes, and the commands it runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine: Engine = bootstrap(settings)
        self._producer = producer(settings)
        self.environment = {
            "MASTERY_REDIS_URL": settings.redis_url,
            "MASTERY_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "MASTERY_KEY_PREFIX": settings.key_prefix,
            "MASTERY_KAFKA_GROUP": settings.kafka_group,
            "MASTERY_EVENTS_TOPIC": settings.events_topic,
            "MASTERY_DLQ_TOPIC": settings.dlq_topic,
        }

    def close(self) -> None:
        self.engine.redis.close()

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, headers: dict[str, str | bytes], partition: int = 0
    ) -> Place:
        """Write a record; returns its position."""
        places: list[Place] = []

        def arrived(error: KafkaError | None, message: Message) -> None:
            assert error is None
            places.append(Place(*place_of(message)[1:]))

        self._producer.produce(
            topic, value=value, key=key, headers=list(headers.items()), partition=partition, on_delivery=arrived
        )
        assert self._producer.flush(SECONDS) == 0
        return places[0]

    def letter(
        self,
        payload: Any,
        *,
        reason: str = "processing_error",
        ago: timedelta = timedelta(minutes=1),
        replays: int = 0,
        source: Place | None = None,
        traceparent: str = "",
        partition: int = 0,
        key: bytes | None = b"t-1/s-1",
    ) -> Place:
        """Write a dead letter as in design section 4, with the payload in plain text; returns its place."""
        fields = payload if isinstance(payload, dict) else {}
        value = {
            "event_id": fields.get("event_id"),
            "original_event_type": fields.get("event_type"),
            "original_payload": payload,
            "error_type": reason,
            "error_message": "went wrong",
            "failed_at": (NOW - ago).isoformat(),
            "retry_count": 5,
        }
        at = source or Place(0, 0)
        headers: dict[str, str | bytes] = {
            "dlq.topic": self.settings.events_topic,
            "dlq.partition": str(at.partition),
            "dlq.offset": str(at.offset),
            "dlq.error_type": reason,
            "dlq.replay_count": str(replays),
            "dlq.id": uuid4().hex,
            **({"traceparent": traceparent} if traceparent else {}),
        }
        return self.produce(self.settings.dlq_topic, json.dumps(value).encode(), key, headers, partition)

    def sealed(self, value: bytes | None, *, key: bytes | None = None, **of: Any) -> Place:
        """Write the encrypted dead letter of a record of the events topic; returns its place."""
        failed = failed_record(value, key=key, **of)._replace(topic=self.settings.events_topic)
        (letter,) = seal_letters([failed], self.engine.letter_keys)
        return self.produce(self.settings.dlq_topic, letter.value, letter.key, dict(letter.headers))

    def run(self, *arguments: object, answer: str | None = None) -> Result:
        """Run ``mastery dlq …`` in this process."""
        done = CliRunner().invoke(main, ["dlq", *map(str, arguments)], env=self.environment, input=answer)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """Run ``mastery dlq …`` as a separate process."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", "dlq", *map(str, arguments)],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def listed(self, *arguments: object) -> list[dict[str, Any]]:
        """The output of ``list --json``."""
        return [json.loads(line) for line in self.run("list", "--json", *arguments).stdout.splitlines()]

    def places(self, *arguments: object) -> set[str]:
        """The places of the dead letters in ``list``."""
        return {each["place"] for each in self.listed(*arguments)}

    def events(self) -> list[Message]:
        """Every record of the events topic."""
        return self.read(self.settings.events_topic)

    def read(self, topic: str) -> list[Message]:
        reader = RecordReader(self.settings)
        try:
            return list(reader.records(topic, reader.bounds(topic)))
        finally:
            reader.close()

    def marked(self) -> int:
        """How many dead letters are marked as handled."""
        keys = self.engine.redis.keys(f"{self.settings.key_prefix}:*handled-letters*")
        return sum(self.engine.redis.hlen(key) for key in keys)


def own(settings: Settings, bootstrap_servers: str) -> Settings:
    """Topics and a group for this test only."""
    name = uuid4().hex
    return replace(
        settings,
        kafka_bootstrap=bootstrap_servers,
        kafka_group=f"group-{name}",
        events_topic=f"events-{name}",
        dlq_topic=f"dlq-{name}",
    )


def new_dlq(settings: Settings, bootstrap_servers: str) -> Dlq:
    made = Dlq(own(settings, bootstrap_servers))
    make_topics(bootstrap_servers, made.settings.events_topic, made.settings.dlq_topic)
    return made


def junk(desk: Dlq) -> list[Place]:
    """Records on the dead letter topic that are not dead letters."""
    topic = desk.settings.dlq_topic
    return [
        desk.produce(topic, value, b"\xff", {"dlq.replay_count": b"\xff"})
        for value in (None, b"", b"\xff\xfe", b"[]", b'{"event_id": "\x1b[2J"}')
    ]
