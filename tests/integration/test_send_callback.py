"""A callback is sent to the address that was checked, and to no other, within its time."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from app.batches.send_callback import AddressInfo, CallbackSender, NotSent, Resolve
from app.config.settings import load_settings
from cli.stack.ports import claim_port
from tests.certificates import Authority, old_server
from tests.receiver import NAME, Receiver, receiving

LOOPBACK = "127.0.0.0/8, ::1/128"
TIMEOUT = 1.0
SLACK = 1.0  # seconds by which a busy machine may be late


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as (running, _):
        yield running


Make = Callable[..., CallbackSender]


@pytest.fixture
def sender(receiver: Receiver, tmp_path: Path) -> Make:  # noqa: ARG001 - its authority
    """A sender that trusts the receiver's authority, with other private networks, or another resolver."""

    def make(
        networks: str = LOOPBACK, resolve: Resolve | None = None, ca_file: str = str(tmp_path / "ca.pem")
    ) -> CallbackSender:
        variables = {"PRIVATE_NETWORKS": networks, "CA_FILE": ca_file, "TIMEOUT_SECONDS": str(TIMEOUT)}
        return CallbackSender(load_settings({f"MASTERY_CALLBACK_{name}": value for name, value in variables.items()}), resolve)

    return make


def answers(*each: Sequence[str]) -> tuple[Resolve, list[str]]:
    """A resolver that gives the next of these answers each time, and the names that it was asked for."""
    left, asked = list(each), []

    def resolve(host: str, port: int) -> Sequence[AddressInfo]:
        asked.append(host)
        found: list[AddressInfo] = []
        for address in left.pop(0):
            found += socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        return found

    return resolve, asked


def refusal(sender: CallbackSender, url: str) -> str:
    with pytest.raises(NotSent) as raised:
        sender.post(url, b"{}", {})
    return str(raised.value)


def test_it_arrives_as_it_was_sent(receiver: Receiver, sender: Make) -> None:
    """Path, query, body and headers; TLS is for the host's name, and so is the Host header."""
    assert sender().post(receiver.url, b'{"a": 1}', {"webhook-id": "msg_1"}) == 204
    (message,) = receiver.messages
    assert (message.path, message.body, message.headers["webhook-id"]) == ("/ended?batch=1", b'{"a": 1}', "msg_1")
    assert (message.headers["host"], receiver.names) == (f"{NAME}:{receiver.port}", [NAME])


def test_a_host_that_is_an_address(receiver: Receiver, sender: Make) -> None:
    """The certificate must be for the address."""
    assert sender().post(f"https://127.0.0.1:{receiver.port}/", b"{}", {}) == 204


@pytest.mark.parametrize("networks", ["", "10.0.0.0/8"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_host_inside_is_refused(receiver: Receiver, sender: Make, networks: str, host: str) -> None:
    """Nothing connects to it, however the address is written."""
    assert refusal(sender(networks), f"https://{host}:{receiver.port}/") in (
        "its address is not public",
        "its name cannot be resolved: gaierror",
    )
    assert (receiver.names, receiver.messages) == ([], [])


def test_one_private_address_among_public_ones(receiver: Receiver, sender: Make) -> None:
    """The receiver's owner decides which of them is used, so all must be allowed."""
    resolve, _ = answers(["1.1.1.1", "127.0.0.1"], ["127.0.0.1", "1.1.1.1"])
    for _attempt in range(2):
        assert refusal(sender("", resolve), f"https://lms.example:{receiver.port}/") == "its address is not public"
    assert receiver.messages == []


def test_a_name_that_changes_its_address(receiver: Receiver, sender: Make) -> None:
    """DNS rebinding: it is asked for once, and the answer that was checked is used."""
    resolve, asked = answers(["127.0.0.1"], ["127.0.0.2"])
    assert sender("127.0.0.1/32", resolve).post(receiver.url, b"{}", {}) == 204
    assert asked == [NAME]
    assert refusal(sender("127.0.0.1/32", resolve), receiver.url) == "its address is not public"
    assert len(receiver.messages) == 1


def test_an_address_that_does_not_accept(receiver: Receiver, sender: Make) -> None:
    """The next one is tried."""
    resolve, _ = answers(["127.0.0.3", "127.0.0.1"])
    assert sender(resolve=resolve).post(receiver.url, b"{}", {}) == 204


def test_a_certificate_for_another_name(receiver: Receiver, sender: Make) -> None:
    """The address does not matter, the name does."""
    resolve, _ = answers(["127.0.0.1"])
    expected = "its certificate is not trusted, or is for another name"
    assert refusal(sender(resolve=resolve), f"https://other.example:{receiver.port}/") == expected
    assert receiver.messages == []


def test_an_authority_that_is_not_trusted(receiver: Receiver, sender: Make, tmp_path: Path) -> None:
    """Another authority's file does not help."""
    expected = "its certificate is not trusted, or is for another name"
    assert refusal(sender(ca_file=""), receiver.url) == expected
    assert refusal(sender(ca_file=Authority(tmp_path / "other").file), receiver.url) == expected


def test_old_tls_is_not_spoken(sender: Make, tmp_path: Path) -> None:
    """A receiver that speaks TLS 1.1 at most gets nothing."""
    authority = Authority(tmp_path / "old")
    with old_server(authority) as (port, spoken):
        assert "SSLError" in refusal(sender(ca_file=authority.file), f"https://127.0.0.1:{port}/")
        assert spoken == ["TLSv1.1"]  # the client of the server itself


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, sender: Make, status: int) -> None:
    """Its target is never asked."""
    receiver.statuses, receiver.headers = [status], {"Location": f"https://127.0.0.1:{receiver.port}/other"}
    assert sender().post(receiver.url, b"{}", {}) == status
    assert [message.path for message in receiver.messages] == ["/ended?batch=1"]


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, sender: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could connect to what is refused."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{claim_port()}")
    assert sender().post(receiver.url, b"{}", {}) == 204


def hang(receiver: Receiver) -> None:
    receiver.hangs = True


def drip(receiver: Receiver) -> None:
    receiver.drip = TIMEOUT / 20


@pytest.mark.parametrize("slow", [hang, drip])
def test_the_time_is_bounded_in_total(receiver: Receiver, sender: Make, slow: Callable[[Receiver], None]) -> None:
    """A receiver that does not answer, or a byte at a time, is left after the timeout."""
    slow(receiver)
    begin = time.monotonic()
    assert refusal(sender(), receiver.url) == f"no answer within {TIMEOUT:g} s"
    assert TIMEOUT <= time.monotonic() - begin < TIMEOUT + SLACK


def test_a_server_that_never_shakes_hands(sender: Make) -> None:
    """Its silence counts too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        assert refusal(sender(), f"https://127.0.0.1:{silent.getsockname()[1]}/") == f"no answer within {TIMEOUT:g} s"
        assert time.monotonic() - begin < TIMEOUT + SLACK


def test_the_body_of_the_answer_is_not_awaited(receiver: Receiver, sender: Make) -> None:
    """An endless one takes no time and no memory: the status says everything."""
    receiver.body_drip, receiver.statuses = TIMEOUT / 10, [200]
    begin = time.monotonic()
    assert sender().post(receiver.url, b"{}", {}) == 200
    assert time.monotonic() - begin < TIMEOUT


def test_what_is_no_answer(sender: Make) -> None:
    """A receiver that is down is named by what happened, never by its URL."""
    assert refusal(sender(), f"https://127.0.0.1:{claim_port()}/token-in-path") == "ConnectionRefusedError"
