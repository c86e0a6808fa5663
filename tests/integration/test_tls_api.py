"""The API over HTTPS: which clients it accepts, and how the stack's own commands call it."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from msgspec.structs import replace

from api.server import ssl_context
from tests.certificates import Authority, old_tls
from tests.stack import Stack, wait_for

SECONDS = 60.0
PATIENCE_SECONDS = 5.0  # less than any timeout for clients


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Stack]:
    """A stack whose API has a certificate for 127.0.0.1; the tests' own client trusts its authority."""
    pair = authority.issue("127.0.0.1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", authority.file)
        files = {"MASTERY_HTTP_CERT_FILE": pair.certificate, "MASTERY_HTTP_KEY_FILE": pair.key}
        with Stack(tmp_path_factory.mktemp("stack"), **files) as stack:
            yield stack


def handshake(stack: Stack, context: ssl.SSLContext) -> tuple[str | None, dict[str, object] | None]:
    """The TLS version that a client of this kind negotiates with the API, and the certificate that it gets."""
    with (
        connection(stack) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as speaking,
    ):
        return speaking.version(), speaking.getpeercert()  # type: ignore[return-value]  # what it is made of does not matter


def test_the_api_speaks_https_and_says_so(secure: Stack) -> None:
    """Its URL has https; clients that trust the authority get responses, others get nothing."""
    url = secure.running.http_url
    assert url.startswith("https://127.0.0.1:")
    answer = requests.get(f"{url}/ready", timeout=SECONDS)
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "ready")
    with requests.Session() as stranger:
        stranger.trust_env = False  # so it knows only the system's authorities
        with pytest.raises(requests.exceptions.SSLError):
            stranger.get(f"{url}/health", timeout=SECONDS)


def test_http_without_tls_is_not_answered(secure: Stack) -> None:
    """On the same port: a token sent there by mistake gets no response that would hide the mistake."""
    url = secure.running.http_url.replace("https://", "http://")
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"{url}/health", timeout=SECONDS)


@pytest.mark.parametrize(
    "begun", [b"", b"GET /health HT", b"POST /mastery/query HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"]
)
def test_clients_that_fall_silent_hold_no_thread(secure: Stack, authority: Authority, begun: bytes) -> None:
    """After the handshake, or in the middle of a request; more of them than there are threads."""
    context = ssl.create_default_context(cafile=authority.file)
    with ExitStack() as silent:
        for _ in range(secure.settings.http_threads):
            speaking = context.wrap_socket(silent.enter_context(connection(secure)), server_hostname="127.0.0.1")
            silent.enter_context(speaking).sendall(begun)
        silent.enter_context(connection(secure)).sendall(b"\x16\x03\x01")  # the beginning of a handshake
        time.sleep(0.5)  # until each is read
        assert requests.get(f"{secure.running.http_url}/health", timeout=PATIENCE_SECONDS).status_code == 200


def connection(stack: Stack) -> socket.socket:
    """A connection to the API's port, without data so far."""
    _, _, port = stack.running.http_url.rpartition(":")
    return socket.create_connection(("127.0.0.1", int(port)), timeout=SECONDS)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(secure: Stack, authority: Authority, version: ssl.TLSVersion) -> None:
    """Each with a client that supports only that version."""
    context = ssl.create_default_context(cafile=authority.file)
    context.minimum_version = context.maximum_version = version
    assert handshake(secure, context)[0] == version.name.replace("_", ".")


def test_tls_1_1_is_refused(secure: Stack, authority: Authority) -> None:
    """With a client that accepts any cipher."""
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|HANDSHAKE_FAILURE|EOF"):
        handshake(secure, old_tls(ssl.create_default_context(cafile=authority.file)))


def test_the_oldest_version_is_the_engine_s_and_not_the_machine_s() -> None:
    """It does not depend on the defaults of Python or OpenSSL."""
    context = ssl_context(None, old_tls_server)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def old_tls_server() -> ssl.SSLContext:
    """A possible system configuration."""
    context = old_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    return context


def test_a_renewed_certificate_counts_at_once(secure: Stack, authority: Authority) -> None:
    """Without a restart: connections made a moment after the files were replaced get the new certificate.

    The files are replaced one by one; while they do not match, the previous certificate is used.
    """
    context = ssl.create_default_context(cafile=authority.file)

    def serial_number() -> object:
        shown = handshake(secure, context)[1]
        assert shown
        return shown["serialNumber"]

    first, key = serial_number(), Path(secure.settings.http_key_file)
    old_key = key.read_bytes()
    authority.issue("127.0.0.1")  # into the same files
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    wait_for(lambda: "the certificate cannot be renewed yet" in secure.log(), SECONDS)
    assert serial_number() == first
    key.write_bytes(new_key)
    wait_for(lambda: serial_number() != first, SECONDS)


def test_ready_is_what_this_stack_says_and_no_other(secure: Stack, authority: Authority) -> None:
    """Commands accept only the API's own certificate, under any name; another one of the same authority is rejected."""
    assert secure.running.is_ready()
    assert replace(secure.running, http_url=secure.running.http_url.replace("127.0.0.1", "localhost")).is_ready()
    assert not replace(secure.running, http_cert_file=authority.issue("localhost").certificate).is_ready()


def test_the_demo_runs_over_https(tmp_path: Path, authority: Authority) -> None:
    """The printed query can be pasted into a shell: curl trusts the certificate."""
    pair = authority.issue("127.0.0.1")
    waiting = Stack(tmp_path / "data", MASTERY_HTTP_CERT_FILE=pair.certificate, MASTERY_HTTP_KEY_FILE=pair.key)
    log = tmp_path / "demo.log"
    with log.open("w") as out:
        demo = subprocess.Popen([sys.executable, "-m", "cli.main", "demo"], env=waiting.environment, stdout=out, stderr=out)
    try:
        wait_for(lambda: "Ctrl-C" in log.read_text() or demo.poll() is not None, 2 * SECONDS)
        said = log.read_text()
        printed = said[said.index("TOKEN=") : said.index("All routes")]
        answer = json.loads(subprocess.run(["sh", "-c", printed], capture_output=True, check=True, timeout=SECONDS).stdout)
        assert answer["success"]
        demo.send_signal(signal.SIGINT)
        assert demo.wait(SECONDS) == 0
    finally:
        demo.terminate()
        demo.wait(SECONDS)
