"""The Kafka of a run: the embedded broker, which must not be killed, or a real one, which is killed and restarted."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cli.stack.embedded import embedded
from cli.stack.ports import claim_port
from tests.apache_kafka import apache_kafka

TOPICS = ("mastery.events", "mastery.dlq", "mastery.results", "mastery.erasures")
PARTITIONS = 4  # like the embedded broker
ANSWER_SECONDS = 30.0


class Broker(Protocol):
    """A Kafka broker."""

    bootstrap_servers: str

    def kill(self) -> None:
        """SIGKILL it."""

    def start(self) -> None:
        """Start it on its data, and return when it responds."""


class LastingBroker:
    """The embedded broker loses everything with its process, so no fault kills it."""

    def __init__(self) -> None:
        self._serving = ExitStack()
        self.bootstrap_servers = ""

    def start(self) -> None:
        """Start it, empty except for the topics."""
        self.bootstrap_servers = self._serving.enter_context(embedded("kafka", *TOPICS))

    def kill(self) -> None:
        """Not allowed."""
        raise AssertionError("it would come back empty")

    def put_away(self) -> None:
        """End it."""
        self._serving.close()


class ApacheKafka:
    """An Apache Kafka with one node, on one folder and port while the test runs."""

    def __init__(self, folder: Path, jars: Path) -> None:
        self._folder = folder
        self._jars = jars
        self._port = claim_port()
        self._serving = ExitStack()
        self.bootstrap_servers = f"127.0.0.1:{self._port}"
        folder.mkdir()

    def start(self) -> None:
        """Start it on its data, and return when it responds."""
        log = self._serving.enter_context((self._folder / "kafka.log").open("ab"))
        self._serving.enter_context(apache_kafka(self._folder, self._jars, port=self._port, log=log))

    def create_topics(self) -> None:
        """Create the topics that do not exist yet."""
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        for created in client.create_topics([NewTopic(name, PARTITIONS, 1) for name in TOPICS]).values():
            created.result(ANSWER_SECONDS)

    def kill(self) -> None:
        """SIGKILL to the JVM; its parent process then exits."""
        os.kill(int((self._folder / "kafka.pid").read_text()), signal.SIGKILL)
        self.put_away()

    def put_away(self) -> None:
        """End it, if it runs."""
        self._serving.close()
