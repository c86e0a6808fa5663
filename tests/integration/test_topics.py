"""``mastery topics create`` on a real Apache Kafka, on the embedded broker, and without a broker."""

from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from cli.commands.topics import topics
from cli.main import EngineErrorsAreMessages
from cli.stack.ports import claim_port
from tests.conftest import make_topics

DAY_MS = 86_400_000


class Cluster:
    """A broker, and the variables for a test's own topics there."""

    def __init__(self, bootstrap_servers: str) -> None:
        name = uuid4().hex
        self.topics = [f"{kind}-{name}" for kind in ("events", "dlq", "results", "erasures")]
        self.events, self.dlq, self.results, self.erasures = self.topics
        self._variables = {
            "MASTERY_KAFKA_BOOTSTRAP": bootstrap_servers,
            "MASTERY_EVENTS_TOPIC": self.events,
            "MASTERY_DLQ_TOPIC": self.dlq,
            "MASTERY_RESULTS_TOPIC": self.results,
            "MASTERY_ERASURES_TOPIC": self.erasures,
        }
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})

    def create(self, **variables: str) -> Result:
        """Run the command like ``mastery``, which turns errors into messages."""
        mastery = EngineErrorsAreMessages(commands=[topics])
        return CliRunner().invoke(mastery, ["topics", "create"], env=self._variables | variables, prog_name="mastery")

    def shape(self, topic: str) -> tuple[int, set[int]]:
        """The number of partitions and of their replicas."""
        partitions = self._admin.list_topics(topic, timeout=10).topics[topic].partitions
        return len(partitions), {len(each.replicas) for each in partitions.values()}

    def config(self, topic: str, name: str) -> str | None:
        """An entry of a topic's configuration."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        value: str | None = self._admin.describe_configs([resource])[resource].result(10)[name].value
        return value


@pytest.fixture
def apache(apache_kafka: str) -> Cluster:
    """A real Kafka without the topics."""
    return Cluster(apache_kafka)


def test_topics_are_created_as_the_settings_say(apache: Cluster) -> None:
    """Partitions, replication and retention; records are deleted by age, superseded erasures sooner; large messages fit."""
    result = apache.create(
        MASTERY_KAFKA_PARTITIONS="6",
        MASTERY_EVENTS_RETENTION_DAYS="3",
        MASTERY_DLQ_RETENTION_DAYS="40",
        MASTERY_RESULTS_RETENTION_DAYS="2",
        MASTERY_ERASURES_RETENTION_DAYS="200",
    )
    assert result.exit_code == 0, result.output
    assert [f"created: {topic}" in result.output for topic in apache.topics] == [True] * 4
    assert [apache.shape(topic) for topic in apache.topics] == [(6, {1})] * 4
    assert [apache.config(topic, "retention.ms") for topic in apache.topics] == [str(days * DAY_MS) for days in (3, 40, 2, 200)]
    assert [apache.config(topic, "segment.ms") for topic in apache.topics] == [str(DAY_MS)] * 4  # nothing is kept a week longer
    assert [apache.config(topic, "cleanup.policy") for topic in apache.topics] == [*["delete"] * 3, "compact,delete"]
    assert [apache.config(topic, "max.message.bytes") for topic in apache.topics] == ["1048588"] * 4


def test_a_second_run_changes_nothing(apache: Cluster) -> None:
    """It reports that the topics exist, without a warning."""
    apache.create()
    again = apache.create()
    assert again.exit_code == 0
    assert again.output.splitlines() == [f"exists: {topic}" for topic in apache.topics]


def test_what_differs_from_the_settings_is_told_and_left(apache: Cluster) -> None:
    """Partitions and retention, each with both values."""
    apache.create(MASTERY_KAFKA_PARTITIONS="2", MASTERY_EVENTS_RETENTION_DAYS="1")
    result = apache.create(MASTERY_KAFKA_PARTITIONS="3", MASTERY_EVENTS_RETENTION_DAYS="5")
    assert result.exit_code == 0
    assert "warning, nothing changed: partitions is 2, the settings say 3" in result.output
    assert f"warning, nothing changed: retention.ms is {DAY_MS}, the settings say {5 * DAY_MS}" in result.output
    assert result.output.count("partitions is") == 4
    assert result.output.count("retention.ms is") == 1
    assert apache.shape(apache.events) == (2, {1})
    assert apache.config(apache.events, "retention.ms") == str(DAY_MS)


def test_another_replication_is_told_and_left(apache: Cluster) -> None:
    """For every existing topic, even if the cluster has fewer brokers."""
    apache.create()
    result = apache.create(MASTERY_KAFKA_REPLICATION="2")
    assert result.exit_code == 0
    warning = "  warning, nothing changed: replication is 1, the settings say 2"
    assert result.output.splitlines() == [line for topic in apache.topics for line in (f"exists: {topic}", warning)]
    assert {each for topic in apache.topics for each in apache.shape(topic)[1]} == {1}


def test_only_missing_topics_are_created(apache_kafka: str, apache: Cluster) -> None:
    """A topic created by others stays as it is, and the difference is reported."""
    make_topics(apache_kafka, apache.events)
    result = apache.create(MASTERY_KAFKA_PARTITIONS="5")
    assert f"exists: {apache.events}" in result.output
    assert "partitions is 4, the settings say 5" in result.output
    assert [apache.shape(topic)[0] for topic in apache.topics] == [4, 5, 5, 5]


def test_what_the_broker_refuses_is_an_error_in_its_words(apache: Cluster) -> None:
    """For example, more replicas than brokers."""
    result = apache.create(MASTERY_KAFKA_REPLICATION="15")
    assert result.exit_code == 1
    assert result.output.count("refused: ") == 4
    assert "replication 15" in result.output
    assert "error: " in result.output


def test_the_embedded_broker_makes_topics_in_its_own_way(kafka_bootstrap: str) -> None:
    """They exist afterwards, and the output says that the settings do not apply."""
    cluster = Cluster(kafka_bootstrap)
    result = cluster.create()
    assert result.exit_code == 0, result.output
    assert result.output.count("the embedded broker creates topics by itself, with 4 partitions") == 4
    assert [cluster.shape(topic)[0] for topic in cluster.topics] == [4] * 4


def test_a_broker_that_does_not_answer_is_told() -> None:
    """In one line, with an exit code."""
    result = Cluster(f"127.0.0.1:{claim_port()}").create()
    assert result.exit_code == 1
    assert result.output.startswith("Error: kafka is unavailable: 127.0.0.1:")
    assert "Connection refused" in result.output
    assert result.output.count("\n") == 1
