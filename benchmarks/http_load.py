"""HTTP load generator with keep-alive connections: ``python -m benchmarks.http_load``, Plan on stdin, Load on stdout.

It runs in its own process and uses a few per cent of a core. Each client is a socket that sends prepared bytes as soon as the
previous answer is complete, so the server limits the rate, not the generator.
"""

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from benchmarks.stacks import PROJECT

ANSWER_SECONDS = 10.0
BLANK_LINE = b"\r\n\r\n"


class Plan(msgspec.Struct):
    """A load to generate."""

    host: str
    port: int
    requests: list[str]  # raw HTTP, sent in turn
    clients: int
    seconds: float


class Load(msgspec.Struct):
    """The result of a plan."""

    latencies: list[float]  # seconds from each request to its complete answer
    seconds: float  # total

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


def plan_posts(url: str, path: str, callers: Iterable[tuple[str, str]], clients: int, seconds: float, **fields: str) -> Plan:
    """Plan a POST about each student in turn. ``callers`` are pairs of a student and a token.

    Args:
        url: of the API.
        path: of the route.
        callers: who is asked about, and by whom.
        clients: number of connections.
        seconds: how long.
        fields: what a body has beside the student.

    Returns:
        The plan.
    """
    place = urlsplit(url)
    requests = []
    for student, token in callers:
        body = msgspec.json.encode({"student_id": student, **fields}).decode()
        head = (
            f"POST {path} HTTP/1.1",
            f"Host: {place.netloc}",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        requests.append("\r\n".join((*head, "", body)))
    return Plan(place.hostname or "", place.port or 0, requests, clients, seconds)


def run_load(plan: Plan) -> Load:
    """Run a plan in a new process. Raises CalledProcessError if an answer is not a 200."""
    command = [sys.executable, "-m", "benchmarks.http_load"]
    done = subprocess.run(command, cwd=PROJECT, input=msgspec.json.encode(plan), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Load)


class _Client:
    """One connection, one request at a time."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._requests = [request.encode() for request in plan.requests]
        self._next = number
        self.socket = socket.create_connection((plan.host, plan.port), timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send()

    def send(self) -> None:
        """Send the next request."""
        self._answer = b""
        self._sent = time.perf_counter()
        self.socket.sendall(self._requests[self._next % len(self._requests)])
        self._next += 1

    def receive(self) -> float | None:
        """Receive bytes. Returns the seconds since the request if the answer is complete, else None."""
        self._answer += self.socket.recv(65536)
        head, blank, body = self._answer.partition(BLANK_LINE)
        if blank:
            if not head.startswith(b"HTTP/1.1 200 "):
                raise ValueError(self._answer.decode(errors="replace"))
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            if len(body) >= int(length):
                return time.perf_counter() - self._sent
        elif not self._answer:
            raise ConnectionError("the server closed the connection")
        return None


def main() -> None:
    """Run the plan."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        began = time.perf_counter()
        for number in range(plan.clients):
            client = _Client(plan, number)
            selector.register(client.socket, selectors.EVENT_READ, client)
        while time.perf_counter() - began < plan.seconds:
            for key, _events in selector.select(ANSWER_SECONDS):
                latency = key.data.receive()
                if latency is not None:
                    latencies.append(latency)
                    key.data.send()
        elapsed = time.perf_counter() - began
    sys.stdout.buffer.write(msgspec.json.encode(Load(latencies, elapsed)))


if __name__ == "__main__":
    main()
