"""Create the engine's topics with the partitions, replication and retention of the settings; never change one that exists."""

import logging
import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public by their documentation, not by the package's types
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from app.config.settings import Settings
from app.errors import DependencyUnavailable
from consumers.kafka.clients import LastError, connection, producer
from consumers.kafka.topic_ids import EMBEDDED_CLUSTER

ADMIN_SECONDS = 10.0
POLL_SECONDS = 0.05
DAY_MS = 86_400_000
# Clients send batches of at most 1,000,000 bytes and a header. It is Kafka's own default, so no cluster has to allow for more.
MAX_MESSAGE_BYTES = 1_048_588
UNAVAILABLE = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})

_log = logging.getLogger(__name__)


class State(StrEnum):
    """What became of a topic."""

    CREATED = "created"
    EXISTS = "exists"
    REFUSED = "refused"


class TopicSpec(NamedTuple):
    """A topic as the settings want it."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]

    def __str__(self) -> str:
        days = int(self.config["retention.ms"]) // DAY_MS
        return f"{self.name} (partitions {self.partitions}, replication {self.replication}, kept {days} d)"


class TopicOutcome(NamedTuple):
    """What became of a topic: with the broker's reason if it refused, or with what differs from the settings if it exists."""

    topic: TopicSpec
    state: State
    remarks: tuple[str, ...] = ()


def create_topics(settings: Settings) -> list[TopicOutcome]:
    """Create the topics of events, dead letters and results where they are missing, and compare those that exist.

    Those that it created can be used when it returns. Raises DependencyUnavailable when the broker does not answer.
    """
    said = LastError()
    admin = AdminClient(connection(settings, said.record), logger=_log)
    with said.raised_from(admin):
        admin.list_topics(timeout=ADMIN_SECONDS)
        # The embedded one makes a topic when it is first asked about it.
        if admin.cluster_id(timeout=ADMIN_SECONDS).startswith(EMBEDDED_CLUSTER):
            return [_ask_embedded(settings, topic) for topic in _wanted(settings)]
        outcomes = list(_create(admin, _wanted(settings)))
        _wait_until_known(admin, {each.topic.name for each in outcomes if each.state == State.CREATED})
        return [_compare(admin, each.topic) if each.state == State.EXISTS else each for each in outcomes]


def _wanted(settings: Settings) -> list[TopicSpec]:
    days = {
        settings.events_topic: settings.events_retention_days,
        settings.dlq_topic: settings.dlq_retention_days,
        settings.results_topic: settings.results_retention_days,
    }
    return [
        TopicSpec(
            name,
            settings.kafka_partitions,
            settings.kafka_replication,
            {"cleanup.policy": "delete", "retention.ms": str(kept * DAY_MS), "max.message.bytes": str(MAX_MESSAGE_BYTES)},
        )
        for name, kept in days.items()
    ]


def _create(admin: AdminClient, topics: list[TopicSpec]) -> Iterator[TopicOutcome]:
    new = [NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.config)) for topic in topics]
    futures = admin.create_topics(new, request_timeout=ADMIN_SECONDS)
    for topic in topics:
        try:
            futures[topic.name].result()
        except KafkaException as failure:
            yield _not_created(topic, failure)
        else:
            yield TopicOutcome(topic, State.CREATED)


def _not_created(topic: TopicSpec, failure: KafkaException) -> TopicOutcome:
    error: KafkaError = failure.args[0]
    if error.code() in UNAVAILABLE:
        raise failure
    if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return TopicOutcome(topic, State.EXISTS)
    return TopicOutcome(topic, State.REFUSED, (error.str(),))


def _wait_until_known(admin: AdminClient, topics: set[str]) -> None:
    """A broker hears of what the controller created a moment later, and until then says that there is no such topic."""
    deadline = time.monotonic() + ADMIN_SECONDS
    while not topics <= admin.list_topics(timeout=ADMIN_SECONDS).topics.keys():
        if time.monotonic() > deadline:
            raise DependencyUnavailable("kafka", "created the topics, but does not serve them yet")
        time.sleep(POLL_SECONDS)


def _compare(admin: AdminClient, topic: TopicSpec) -> TopicOutcome:
    """The outcome for a topic that exists, with every difference from what is wanted."""
    found = admin.list_topics(topic.name, timeout=ADMIN_SECONDS).topics[topic.name]
    wanted = {"partitions": str(topic.partitions), "replication": str(topic.replication), **topic.config}
    actual = {"partitions": str(len(found.partitions)), "replication": str(_replication(found))}
    resource = ConfigResource(ResourceType.TOPIC, topic.name)
    try:
        entries = admin.describe_configs([resource], request_timeout=ADMIN_SECONDS)[resource].result()
    except KafkaException as failure:
        error: KafkaError = failure.args[0]
        if error.code() in UNAVAILABLE:
            raise
        return TopicOutcome(topic, State.EXISTS, (f"its configuration cannot be compared: {error.str()}",))
    actual |= {name: entries[name].value for name in topic.config}
    differences = (
        f"{name} is {actual[name]}, the settings say {value}" for name, value in wanted.items() if actual[name] != value
    )
    return TopicOutcome(topic, State.EXISTS, tuple(differences))


def _replication(topic: TopicMetadata) -> int:
    """Of the partition that has the fewest replicas."""
    return min((len(partition.replicas) for partition in topic.partitions.values()), default=0)


def _ask_embedded(settings: Settings, topic: TopicSpec) -> TopicOutcome:
    partitions = producer(settings).list_topics(topic.name, timeout=ADMIN_SECONDS).topics[topic.name].partitions
    remark = f"the embedded broker makes topics by itself, with {len(partitions)} partitions, and keeps nothing when it ends"
    return TopicOutcome(topic, State.EXISTS, (remark,))
