"""The Apache Kafka for tests and developers: it keeps its data after any kill, and leaves no process behind."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from app.errors import DependencyUnavailable
from cli.stack.ports import claim_port
from tests.apache_kafka import serve_command
from tests.conftest import make_topics
from tests.kafka_jars import fetch_jars
from tests.stack import wait_for

SECONDS = 60.0
TOPIC, GROUP = "kept", "group"


class Broker:
    """A broker as a separate process, on a folder and port on which it can be restarted."""

    def __init__(self, folder: Path, jars: Path) -> None:
        self.folder = folder
        self._command = serve_command(folder, jars, port=claim_port())

    def __enter__(self) -> "Broker":
        with (self.folder.parent / "kafka.log").open("ab") as log:
            self.wrapper = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.wrapper.stdout is not None
        self.address = self.wrapper.stdout.readline().strip()
        assert self.address, self.log()
        self.jvm = psutil.Process(int((self.folder / "kafka.pid").read_text()))
        return self

    def __exit__(self, *_: object) -> None:
        with self.wrapper:
            self.wrapper.kill()
        self.jvm.wait(SECONDS)

    def log(self) -> str:
        """The output of the broker and its JVM."""
        return (self.folder.parent / "kafka.log").read_text()

    def cluster_id(self) -> str:
        """The cluster's id."""
        return AdminClient({"bootstrap.servers": self.address}).cluster_id(timeout=SECONDS)


@pytest.fixture
def broker(tmp_path: Path, kafka_jars: Path) -> Broker:
    """A broker for this test only, which may kill it; not started yet."""
    return Broker(tmp_path / "kafka", kafka_jars)


@pytest.fixture
def started(broker: Broker) -> Iterator[Broker]:
    """The same, started."""
    with broker:
        yield broker


def consumer(address: str) -> Consumer:
    """A member of the group that commits on request."""
    return Consumer({"bootstrap.servers": address, "group.id": GROUP, "enable.auto.commit": False})


def test_records_and_committed_offsets_outlive_a_killed_jvm(broker: Broker) -> None:
    """Restarted on the same folder and port, it is the same cluster, with everything it acknowledged."""
    with broker:
        first, cluster = broker.address, broker.cluster_id()
        make_topics(first, TOPIC)
        out = Producer({"bootstrap.servers": first, "acks": "all"})
        for number in range(100):
            out.produce(TOPIC, str(number).encode(), partition=0)
        assert out.flush(SECONDS) == 0
        reader = consumer(first)
        reader.commit(offsets=[TopicPartition(TOPIC, 0, 40)], asynchronous=False)
        reader.close()
        broker.jvm.kill()
        assert broker.wrapper.wait(SECONDS) == 1
        assert "ended by itself" in broker.log()
    with broker:
        assert (broker.address, broker.cluster_id()) == (first, cluster)
        reader = consumer(first)
        assert [each.offset for each in reader.committed([TopicPartition(TOPIC, 0)], timeout=SECONDS)] == [40]
        reader.assign([TopicPartition(TOPIC, 0, 40)])
        values: list[bytes | None] = []
        wait_for(lambda: len(values.extend(m.value() for m in reader.consume(100, 0.2)) or values) >= 60, SECONDS)  # type: ignore[func-returns-value]
        reader.close()
        assert values == [str(number).encode() for number in range(40, 100)]


def test_it_ends_with_its_standard_input_and_leaves_no_process(started: Broker) -> None:
    """If the process that started it stops or dies, first the JVM ends, then the wrapper, and the port is free."""
    assert started.wrapper.stdin is not None
    started.wrapper.stdin.close()
    assert started.wrapper.wait(SECONDS) == 0
    assert not started.jvm.is_running()
    assert not (started.folder / "kafka.pid").exists()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": started.address, "log_level": 0}).list_topics(timeout=1)


def test_a_killed_wrapper_takes_its_jvm_along(started: Broker) -> None:
    """The kernel kills the JVM, since no Python code can run any more."""
    assert started.jvm.ppid() == started.wrapper.pid
    os.kill(started.wrapper.pid, signal.SIGKILL)
    started.jvm.wait(SECONDS)
    assert not started.jvm.is_running()


def test_it_listens_on_loopback_only(started: Broker) -> None:
    """Both listeners are on loopback, and there are no others."""
    listening = {each.laddr.ip for each in started.jvm.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_a_port_or_a_folder_that_is_taken_is_told(started: Broker, tmp_path: Path, kafka_jars: Path) -> None:
    """It fails instead of using another broker; the first one keeps running."""
    port = started.address.rpartition(":")[2]
    for folder, wanted, message in (
        (tmp_path / "second", port, f"Apache Kafka cannot listen on {started.address}"),
        (started.folder, "0", f"Apache Kafka already runs on {started.folder}"),
    ):
        second = subprocess.run(
            serve_command(folder, kafka_jars, port=int(wanted)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (second.returncode, second.stdout) == (1, "")
        assert message in second.stderr
    assert started.cluster_id()


def test_topics_of_either_broker_can_be_used_at_once(any_kafka: str) -> None:
    """Four partitions accept a record each, on the embedded broker and on the real one."""
    topic = f"topic-{uuid4().hex}"
    make_topics(any_kafka, topic)
    arrived: list[int | None] = []
    out = Producer(
        {"bootstrap.servers": any_kafka, "on_delivery": lambda error, message: arrived.append(error or message.partition())}
    )
    for partition in range(4):
        out.produce(topic, b"value", partition=partition)
    assert out.flush(SECONDS) == 0
    assert sorted(arrived, key=str) == [0, 1, 2, 3]


def test_jars_that_are_there_are_not_fetched_again(kafka_jars: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Existing jars are used without Maven; for a folder without them, the error names what is missing."""
    java = tmp_path / "bin"
    java.mkdir()
    (java / "java").write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    (java / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(java))
    assert fetch_jars(kafka_jars) == kafka_jars
    with pytest.raises(DependencyUnavailable, match="Maven is not installed"):
        fetch_jars(tmp_path / "jars")


@pytest.mark.parametrize(
    ("said", "message"), [('java version "1.8.0_402"', "is version 1.8.0_402: "), (None, "is not installed")]
)
def test_a_java_that_is_missing_or_too_old_is_told(
    said: str | None, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error names the required version."""
    if said is not None:
        (tmp_path / "java").write_text(f"#!/bin/sh\necho '{said}' >&2\n")
        (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyUnavailable, match=f"Java {message}.*17"):
        fetch_jars(tmp_path / "jars")
