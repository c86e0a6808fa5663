"""Which topic bears a name. One that is deleted and created again has another id (KIP-516), and offsets of its own.

Kafka's consumers do not tell: they go on at the old offset in the new topic. So whatever keeps offsets asks here.
"""

import logging

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.positions import NO_ID, TopicId
from consumers.kafka.clients import LastError, connection

METADATA_SECONDS = 2.0  # of a broker that is asked; it takes a millisecond
# What the embedded broker of librdkafka calls itself, with a number that is another at each start. It answers no administrative
# requests and deletes no topic: there the cluster's id tells topics apart.
EMBEDDED_CLUSTER = "mockCluster"

_log = logging.getLogger(__name__)


class TopicIds:
    """The ids of topics as the brokers know them now. Raises DependencyUnavailable when they do not answer."""

    def __init__(self, settings: Settings, seconds: float = METADATA_SECONDS) -> None:
        self._said = LastError()
        self._admin = AdminClient(connection(settings, self._said.record), logger=_log)
        self._seconds = seconds
        self._has_ids: bool | None = None  # not known yet

    def of(self, topic: str) -> TopicId | None:
        """The topic's id; ``NO_ID`` where the broker gives topics none; None where there is no such topic."""
        with self._said.raised_from(self._admin):
            if self._has_ids is None:
                self._has_ids = not self._cluster_id().startswith(EMBEDDED_CLUSTER)
            return self._ask(topic) if self._has_ids else NO_ID

    def existing(self, topic: str) -> TopicId:
        """The same, of a topic that must be there. Raises DependencyUnavailable where it is not."""
        found = self.of(topic)
        if found is None:
            raise DependencyUnavailable("kafka", f"has no topic {topic}")
        return found

    def _cluster_id(self) -> str:
        self._admin.list_topics(timeout=self._seconds)  # after which the cluster's id is known, also of the embedded broker
        return self._admin.cluster_id(timeout=self._seconds)

    def _ask(self, topic: str) -> TopicId | None:
        answers = self._admin.describe_topics(TopicCollection([topic]), request_timeout=self._seconds)
        try:
            found = answers[topic].result().topic_id
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise
        # Brokers before Kafka 2.8 send zeros.
        has_id = found.get_most_significant_bits() or found.get_least_significant_bits()
        return str(found) if has_id else NO_ID


def log_name(cluster_id: str, topic: str, topic_id: TopicId | None) -> str:
    """What is remembered about records of a topic is filed under this: it holds for no other topic of the same name."""
    return "/".join(filter(None, (cluster_id, topic, topic_id)))
