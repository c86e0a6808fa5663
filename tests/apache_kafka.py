"""A real Apache Kafka with one node, for tests and development: the broker is a JVM child process.

``make kafka`` runs one in the foreground, ``apache_kafka`` one while a context lasts. All its data is in the folder: if it is
started there again, on any port, it has its topics, records and offsets.
A file of Kafka properties may be given: its ``listeners`` are added (e.g. with TLS), its other lines override those here.

For tests that kill it: the JVM's process id is in ``FOLDER/kafka.pid`` while it runs. If the JVM is killed, its parent, the
Python process, exits with code 1. If the parent is killed, the kernel kills the JVM; wait for its end before you start another
on the same port.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from app.errors import DependencyUnavailable
from app.storage.private_files import PRIVATE, make_private
from cli.stack.embedded import started
from cli.stack.lifetime import dies_with_this_process, wait_until_stopped
from cli.stack.ports import LOOPBACK, claim_port
from tests.kafka_jars import HOME, KAFKA, environment, fetch_jars, java, run

READY_SECONDS = 60.0  # it takes three; a busy machine or a long recovery takes more
STOP_SECONDS = 25.0  # it takes one; less than ``started`` waits before it kills
PROBE_SECONDS = 1.0

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # There is one node, so one replica of everything.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # The default of 50 partitions is for clusters; here they only cost files and startup time.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # Like the other embedded broker: a topic is created on first use, with four partitions.
    "auto.create.topics.enable": "true",
    "num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",  # do not wait for members that a test does not have
    # A killed broker is rejected as its own duplicate until its session ends: two seconds instead of nine.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # Small files: a partition keeps at most 512 MB (1.5 million events), in segments of 64 MB with small indexes.
    "log.retention.bytes": str(512 << 20),
    "log.segment.bytes": str(64 << 20),
    "log.index.size.max.bytes": str(1 << 20),
    "log.cleaner.dedupe.buffer.size": str(4 << 20),  # of the heap; only the offsets are compacted
}
JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",  # minimal memory and threads
    # Warnings and errors, with timestamps.
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)


@contextmanager
def apache_kafka(
    folder: Path, jars: Path, *properties: str, port: int = 0, log: IO[bytes] | int = subprocess.DEVNULL
) -> Iterator[str]:
    """Run a broker while the context lasts; yields its address. Raises DependencyUnavailable if it does not start."""
    with started(KAFKA, serve_command(folder, jars, *properties, port=port), log=log) as address:
        yield address


def serve_command(folder: Path, jars: Path, *properties: str, port: int = 0) -> list[str]:
    """The command line of a broker that runs until its standard input ends; it prints the address when it is ready."""
    return [sys.executable, "-m", "tests.apache_kafka", "serve", str(folder), str(port), str(jars), *properties]


def serve_apache_kafka(folder: str, port: int, jars: str, properties: str | None = None) -> None:
    """Serve an Apache Kafka that keeps its data in a folder, until standard input ends; port 0 means any free port.

    Raises DependencyUnavailable if it does not start, or exits by itself.
    """
    more = _read_properties(Path(properties)) if properties else {}
    with _sole_user_of(Path(folder)), _broker(Path(folder), port, Path(jars), more) as (address, jvm):
        print(address, flush=True)
        wait_until_stopped(jvm)
        if jvm.poll() is not None:
            raise DependencyUnavailable(KAFKA, f"ended by itself, with exit code {jvm.returncode}")


def main(*arguments: str) -> int:
    """Serve a broker until standard input ends (``serve …``), or on a port in the foreground until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.umask(PRIVATE)
    try:
        match arguments:
            case ("serve", folder, port, jars, *properties):
                serve_apache_kafka(folder, int(port), jars, *properties)
            case (port,):
                return _serve_in_the_foreground(int(port))
            case _:
                sys.exit("usage: python -m tests.apache_kafka PORT")
    except KeyboardInterrupt:  # which SIGTERM raises here too
        return 0
    except (DependencyUnavailable, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _serve_in_the_foreground(port: int) -> int:
    """Its data is in ``.kafka/data``."""
    with _sole_user_of(HOME / "data"), _broker(HOME / "data", port, fetch_jars(), {}) as (address, jvm):
        print(
            f"Apache Kafka serves on {address}. In another terminal:\n\n"
            f"    MASTERY_KAFKA_BOOTSTRAP={address} mastery up\n\n"
            f"Its data stays in {HOME / 'data'}. Ctrl-C ends it.",
            flush=True,
        )
        print(f"{KAFKA} ended by itself, with exit code {jvm.wait()}", file=sys.stderr)
        return 1


@contextmanager
def _sole_user_of(folder: Path) -> Iterator[None]:
    """Make the folder and hold its lock; the system releases it when this process ends."""
    make_private(folder)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DependencyUnavailable(KAFKA, f"already runs on {folder}") from error
        yield


@contextmanager
def _broker(folder: Path, port: int, jars: Path, more: Mapping[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A running broker, which ends with the context: its address and its JVM."""
    address = f"{LOOPBACK}:{_port(port)}"
    command = [java(), *JVM, "-cp", str(jars.resolve() / "*")]
    properties = _write_properties(folder, address, more)
    cluster = _cluster_id(folder, command, properties)
    jvm = subprocess.Popen(
        [*command, "kafka.Kafka", properties],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,  # standard output is for the address
        start_new_session=True,  # Ctrl-C is for this process, which stops the JVM
        preexec_fn=dies_with_this_process(),  # noqa: PLW1509 - no thread has been started yet
    )
    pid_file = folder / "kafka.pid"
    try:
        pid_file.write_text(str(jvm.pid))
        _wait_until_it_serves(address, cluster, jvm)
        yield address, jvm
    finally:
        jvm.terminate()
        try:
            jvm.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            jvm.kill()
            jvm.wait()
        pid_file.unlink(missing_ok=True)


def _write_properties(folder: Path, address: str, more: Mapping[str, str]) -> str:
    """Returns the name of the file, in the folder. The JVM runs there, so that no path has to be written into it: a comma in
    one would begin another."""
    # The controller's port may change at each start, since only this node uses it.
    controller = f"{LOOPBACK}:{claim_port()}"
    listeners = [f"PLAINTEXT://{address}", f"CONTROLLER://{controller}"]
    properties = {
        **PROPERTIES,
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": "data",
        **more,
        "listeners": ",".join(listeners + ([more["listeners"]] if "listeners" in more else [])),
    }
    name = "server.properties"
    (folder / name).write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    return name


def _cluster_id(folder: Path, command: Sequence[str], properties: str) -> str:
    """The cluster id of the data in the folder, which is formatted if it is new."""
    meta = folder / "data" / "meta.properties"  # the last file that formatting writes
    if not meta.exists():
        tool = [*command, "kafka.tools.StorageTool", "format", "-t", "random", "-c", properties]
        run(tool, "cannot format its folder", folder)
    return _read_properties(meta)["cluster.id"]


def _read_properties(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def _wait_until_it_serves(address: str, cluster: str, jvm: subprocess.Popen[bytes]) -> None:
    """Return when this cluster lists its topics and has a broker for them."""
    client = AdminClient({"bootstrap.servers": address, "reconnect.backoff.max.ms": 100, "log_level": 0})
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if jvm.poll() is not None:
            raise DependencyUnavailable(KAFKA, f"did not start: exit code {jvm.returncode}, its reason is above")
        with suppress(KafkaException):
            if client.cluster_id(timeout=PROBE_SECONDS) == cluster and client.list_topics(timeout=PROBE_SECONDS).brokers:
                return
        time.sleep(0.05)
    raise DependencyUnavailable(KAFKA, f"did not serve on {address} within {READY_SECONDS:.0f} s")


def _port(wanted: int) -> int:
    """The wanted port, or a free one for 0. Raises DependencyUnavailable if it is in use."""
    try:
        return claim_port(wanted=wanted)
    except OSError as error:
        raise DependencyUnavailable(KAFKA, f"cannot listen on {LOOPBACK}:{wanted}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
