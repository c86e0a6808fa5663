"""Topic ids (KIP-516). A topic that is deleted and created again has a new id, and its offsets start again.

Kafka consumers do not report this; they continue at the old offset in the new topic. So code that stores offsets checks the id.
"""

import logging

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.positions import NO_ID, TopicId
from consumers.kafka.clients import LastError, connection

METADATA_SECONDS = 2.0  # timeout; an answer normally takes a millisecond
# Prefix of the cluster id of librdkafka's embedded broker, which is new at each start. It supports no admin requests and never
# deletes topics, so the cluster id is enough to tell topics apart.
EMBEDDED_CLUSTER = "mockCluster"

_log = logging.getLogger(__name__)


class TopicIds:
    """The current ids of topics. Raises DependencyUnavailable when the brokers do not answer."""

    def __init__(self, settings: Settings, seconds: float = METADATA_SECONDS) -> None:
        self._last_error = LastError()
        self._admin = AdminClient(connection(settings, self._last_error.record), logger=_log)
        self._seconds = seconds
        self._has_ids: bool | None = None  # not known yet

    def of(self, topic: str) -> TopicId | None:
        """The topic's id; ``NO_ID`` if the broker has no topic ids; None if the topic does not exist."""
        with self._last_error.raised_from(self._admin):
            if self._has_ids is None:
                self._has_ids = not self._cluster_id().startswith(EMBEDDED_CLUSTER)
            return self._ask(topic) if self._has_ids else NO_ID

    def existing(self, topic: str) -> TopicId:
        """The id of a topic that must exist. Raises DependencyUnavailable if it does not."""
        found = self.of(topic)
        if found is None:
            raise DependencyUnavailable("kafka", f"has no topic {topic}")
        return found

    def _cluster_id(self) -> str:
        self._admin.list_topics(timeout=self._seconds)  # without it, the embedded broker's cluster id is unknown
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
    """The key for state about a topic's records; a recreated topic has another one."""
    return "/".join(filter(None, (cluster_id, topic, topic_id)))
