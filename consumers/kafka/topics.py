"""Creates the engine's topics with the settings' partitions, replication and retention. Never changes existing topics."""

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

from app.config.retention_limits import SEGMENT_DAYS
from app.config.settings import Settings
from app.errors import DependencyUnavailable
from consumers.kafka.clients import LastError, connection, producer
from consumers.kafka.topic_ids import EMBEDDED_CLUSTER

ADMIN_SECONDS = 10.0
POLL_SECONDS = 0.05
DAY_MS = 86_400_000
# Kafka's default. Clients send batches of at most 1,000,000 bytes plus a header.
MAX_MESSAGE_BYTES = 1_048_588
UNAVAILABLE = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})

_log = logging.getLogger(__name__)


class State(StrEnum):
    """The outcome for a topic."""

    CREATED = "created"
    EXISTS = "exists"
    REFUSED = "refused"


class TopicSpec(NamedTuple):
    """A topic as configured by the settings."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]

    def __str__(self) -> str:
        days = int(self.config["retention.ms"]) // DAY_MS
        return f"{self.name} (partitions {self.partitions}, replication {self.replication}, kept {days} d)"


class TopicOutcome(NamedTuple):
    """The outcome for a topic; ``remarks`` are the broker's reason if it refused, or the differences if the topic exists."""

    topic: TopicSpec
    state: State
    remarks: tuple[str, ...] = ()


def create_topics(settings: Settings) -> list[TopicOutcome]:
    """Create the missing topics, and compare the existing ones with the settings.

    New topics are usable on return. Propagates DependencyUnavailable when the broker does not answer.

    Returns:
        An outcome for each topic.
    """
    last_error = LastError()
    admin = AdminClient(connection(settings, last_error.record), logger=_log)
    with last_error.raised_from(admin):
        admin.list_topics(timeout=ADMIN_SECONDS)
        if admin.cluster_id(timeout=ADMIN_SECONDS).startswith(EMBEDDED_CLUSTER):
            return [_touch_embedded(settings, topic) for topic in _wanted(settings)]
        outcomes = list(_create(admin, _wanted(settings)))
        _wait_until_known(admin, {each.topic.name for each in outcomes if each.state == State.CREATED})
        return [_compare(admin, each.topic) if each.state == State.EXISTS else each for each in outcomes]


def _wanted(settings: Settings) -> list[TopicSpec]:
    topics = (
        (settings.events_topic, settings.events_retention_days, "delete"),
        (settings.dlq_topic, settings.dlq_retention_days, "delete"),
        (settings.results_topic, settings.results_retention_days, "delete"),
        # Only a student's last erasure matters. The topic is small, but read as a whole after a loss of Redis.
        (settings.erasures_topic, settings.erasures_retention_days, "compact,delete"),
    )
    return [
        TopicSpec(
            name,
            settings.kafka_partitions,
            settings.kafka_replication,
            {
                "cleanup.policy": policy,
                "retention.ms": str(kept * DAY_MS),
                # Kafka deletes a segment when its newest record is older than the retention. By default it has those of a week.
                "segment.ms": str(SEGMENT_DAYS * DAY_MS),
                "max.message.bytes": str(MAX_MESSAGE_BYTES),
            },
        )
        for name, kept, policy in topics
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
    """Wait until the broker knows the new topics; the controller's changes reach it with a delay."""
    deadline = time.monotonic() + ADMIN_SECONDS
    while not topics <= admin.list_topics(timeout=ADMIN_SECONDS).topics.keys():
        if time.monotonic() > deadline:
            raise DependencyUnavailable("kafka", "created the topics, but does not serve them yet")
        time.sleep(POLL_SECONDS)


def _compare(admin: AdminClient, topic: TopicSpec) -> TopicOutcome:
    """The outcome for an existing topic, with its differences from the settings."""
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
    """The smallest number of replicas of any partition."""
    return min((len(partition.replicas) for partition in topic.partitions.values()), default=0)


def _touch_embedded(settings: Settings, topic: TopicSpec) -> TopicOutcome:
    """Create a topic on the embedded broker, by requesting its metadata."""
    partitions = producer(settings).list_topics(topic.name, timeout=ADMIN_SECONDS).topics[topic.name].partitions
    remark = f"the embedded broker creates topics by itself, with {len(partitions)} partitions, and keeps nothing when it stops"
    return TopicOutcome(topic, State.EXISTS, (remark,))
