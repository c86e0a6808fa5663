"""When an identity provider is called, and what happens while it is slow, unavailable or wrong. On a real web server."""

import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from uuid import uuid4

import pytest

from app.errors import DependencyUnavailable
from app.security.signing_keys import (
    LIFESPAN_SECONDS,
    MAX_BYTES,
    PAUSE_SECONDS,
    TIMEOUT_SECONDS,
    SigningKeys,
)
from app.security.tokens import InvalidToken
from tests.identity_provider import EC, RSA, IdentityProvider, jwk
from tests.stack import wait_for
from tests.unit.security.conftest import Time

MANY = 100


def unknown(keys: SigningKeys, kid: str = "unknown") -> None:
    with pytest.raises(InvalidToken, match=r"^The token's key is not known\.$"):
        keys.key(kid, "RS256")


def unavailable(keys: SigningKeys, kid: str = "rsa-1") -> None:
    with pytest.raises(DependencyUnavailable, match=r"^identity provider is unavailable$"):
        keys.key(kid, "RS256")


def at_once(count: int, ask: Callable[[int], object]) -> list[object]:
    """The results of this many threads that call at the same time."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(ask, range(count)))


def test_keys_are_fetched_once_and_found_by_kid_and_algorithm(provider: IdentityProvider, keys: SigningKeys) -> None:
    """They are not fetched before the first token; a key is only used with its own algorithm."""
    assert provider.requests == []
    for _ in range(3):
        assert keys.key("rsa-1", "RS256").algorithm_name == "RS256"
        assert keys.key("ec-1", "ES256").algorithm_name == "ES256"
    assert provider.requests == ["/keys"]
    for kid, algorithm in (("rsa-1", "ES256"), ("ec-1", "RS256"), ("rsa-1", "HS256")):
        with pytest.raises(InvalidToken):
            keys.key(kid, algorithm)


def test_many_first_tokens_cause_one_fetch(provider: IdentityProvider, keys: SigningKeys) -> None:
    """All concurrent callers wait for the same fetch."""
    provider.delay = 0.2
    found = at_once(MANY, lambda _: keys.key("rsa-1", "RS256").key_id)
    assert found == ["rsa-1"] * MANY
    assert len(provider.requests) == 1


def test_rotation(provider: IdentityProvider, keys: SigningKeys, clock: Time) -> None:
    """A new key is found 30 s after the last fetch; a removed one is then unknown."""
    keys.key("rsa-1", "RS256")
    provider.keys = [jwk(RSA, "rsa-2")]
    clock.now += PAUSE_SECONDS - 0.1
    unknown(keys, "rsa-2")
    clock.now += 0.1
    assert keys.key("rsa-2", "RS256").key_id == "rsa-2"
    assert len(provider.requests) == 2
    unknown(keys, "rsa-1")


def test_random_kids_cause_one_fetch_each_30_seconds(provider: IdentityProvider, keys: SigningKeys, clock: Time) -> None:
    """This holds for any number of callers, sequential or concurrent; known keys keep working."""
    keys.key("rsa-1", "RS256")

    def attack(_: int) -> None:
        unknown(keys, str(uuid4()))

    for fetches in (1, 2, 3):
        at_once(MANY, attack)
        attack(0)
        assert len(provider.requests) == fetches
        assert keys.key("rsa-1", "RS256")
        clock.now += PAUSE_SECONDS


def test_known_keys_are_refreshed_while_they_are_used(provider: IdentityProvider, keys: SigningKeys, clock: Time) -> None:
    """After five minutes one thread fetches them in the background; removed keys are then rejected."""
    keys.key("rsa-1", "RS256")
    provider.keys, provider.delay = [jwk(EC, "ec-1")], 1.0
    clock.now += LIFESPAN_SECONDS - 0.1
    keys.key("rsa-1", "RS256")
    assert len(provider.requests) == 1
    clock.now += 0.1
    began = time.monotonic()
    at_once(MANY, lambda _: keys.key("rsa-1", "RS256"))
    assert time.monotonic() - began < provider.delay
    wait_for(lambda: refused(keys, "rsa-1"), 5)
    assert len(provider.requests) == 2


def test_a_refresh_that_takes_long_is_the_only_one(provider: IdentityProvider, keys: SigningKeys, clock: Time) -> None:
    """No second refresh starts, however long it takes."""
    keys.key("rsa-1", "RS256")
    provider.delay = 1.0
    for _ in range(5):
        clock.now += LIFESPAN_SECONDS
        keys.key("rsa-1", "RS256")
    wait_for(lambda: len(provider.requests) > 1, 5)
    assert len(provider.requests) == 2


def refused(keys: SigningKeys, kid: str) -> bool:
    try:
        keys.key(kid, "RS256")
    except InvalidToken:
        return True
    return False


def test_known_keys_work_without_the_provider(
    provider: IdentityProvider, keys: SigningKeys, clock: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """They work for any time; unknown keys cannot be checked. The provider is retried every 30 s until it is back."""
    keys.key("rsa-1", "RS256")
    provider.stop()
    for attempts in (1, 2):
        clock.now += LIFESPAN_SECONDS * 100 if attempts == 1 else PAUSE_SECONDS
        at_once(MANY, lambda _: keys.key("rsa-1", "RS256"))
        unavailable(keys, "rsa-2")
        assert len(failures(caplog)) == attempts
    provider.keys = [jwk(RSA, "rsa-2")]
    provider.start(provider.port)
    clock.now += PAUSE_SECONDS - 0.1
    unavailable(keys, "rsa-2")
    clock.now += 0.1
    assert keys.key("rsa-2", "RS256")
    assert len(provider.requests) == 2


def test_after_a_failure_known_keys_are_refreshed_soon(
    provider: IdentityProvider, keys: SigningKeys, clock: Time, caplog: pytest.LogCaptureFixture
) -> None:
    """After half a minute, not five, since removed keys must be rejected."""
    keys.key("rsa-1", "RS256")
    provider.status, provider.keys = 500, [jwk(EC, "ec-1")]
    clock.now += LIFESPAN_SECONDS
    keys.key("rsa-1", "RS256")
    wait_for(lambda: bool(failures(caplog)), 5)
    provider.status = 200
    clock.now += PAUSE_SECONDS
    wait_for(lambda: refused(keys, "rsa-1"), 5)


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_provider_that_never_answered(provider: IdentityProvider, clock: Time, caplog: pytest.LogCaptureFixture) -> None:
    """No key can be checked; this is logged once, without the URL's query and credentials."""
    provider.stop()
    keys = SigningKeys(f"http://127.0.0.1:{provider.port}/keys?key=secret", clock)
    at_once(10, lambda _: unavailable(keys))
    [failure] = failures(caplog)
    assert failure.startswith("identity provider cannot be reached: ")
    assert failure.endswith(" (keys of http://127.0.0.1/keys)")
    with pytest.raises(DependencyUnavailable):
        SigningKeys("http://user:secret@127.0.0.1/keys", clock).key("rsa-1", "RS256")
    assert "secret" not in caplog.text


def test_a_slow_provider(provider: IdentityProvider, keys: SigningKeys, caplog: pytest.LogCaptureFixture) -> None:
    """Callers wait for two seconds at most."""
    provider.delay = TIMEOUT_SECONDS * 2
    began = time.monotonic()
    at_once(10, lambda _: unavailable(keys))
    assert TIMEOUT_SECONDS * 0.9 < time.monotonic() - began < TIMEOUT_SECONDS * 1.5
    wait_for(lambda: bool(failures(caplog)), TIMEOUT_SECONDS / 2)


@pytest.mark.parametrize("part", ["trickle", "trickle_head"])
def test_an_answer_that_trickles(provider: IdentityProvider, clock: Time, caplog: pytest.LogCaptureFixture, part: str) -> None:
    """A response has a total deadline, even if its bytes keep arriving; the next attempt, 30 s later, works."""
    setattr(provider, part, TIMEOUT_SECONDS / 4)
    keys = SigningKeys(provider.url, clock)
    unavailable(keys)
    wait_for(lambda: bool(failures(caplog)), TIMEOUT_SECONDS * 4)
    assert "identity provider does not answer with keys: " in caplog.text
    setattr(provider, part, 0.0)
    clock.now += PAUSE_SECONDS
    assert keys.key("rsa-1", "RS256").key_id == "rsa-1"


def test_a_handshake_that_trickles(clock: Time, caplog: pytest.LogCaptureFixture) -> None:
    """The deadline includes the TLS handshake."""

    def trickle() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(10_000)
            for byte in b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" + bytes(1000):  # the beginning of a ServerHello
                connection.send(bytes([byte]))
                time.sleep(TIMEOUT_SECONDS / 4)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=trickle, daemon=True)
        thread.start()
        unavailable(SigningKeys(f"https://127.0.0.1:{server.getsockname()[1]}/keys", clock))
        wait_for(lambda: bool(failures(caplog)), TIMEOUT_SECONDS * 4)
        thread.join(TIMEOUT_SECONDS * 4)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"{}", "answers 500"),
        (404, b"", "answers 404"),
        (204, b"", "does not answer with keys: DecodeError"),
        (200, b"<html>", "does not answer with keys: DecodeError"),
        (200, b"\xff", "does not answer with keys: DecodeError"),
        (200, b'{"keys": [{"x": ' + b"[" * 100_000, "does not answer with keys: RecursionError"),
        (200, b"[]", "does not answer with keys: ValidationError"),
        (200, b'{"keys": {}}', "does not answer with keys: ValidationError"),
        (200, b'{"keys": [5]}', "does not answer with keys: ValidationError"),
        (200, b'{"keys": []}', "answers with no key that can be used"),
        (200, b" " * (MAX_BYTES + 1), "does not answer with keys: OSError"),
    ],
    ids=[*range(11)],
)
def test_an_answer_without_keys(
    provider: IdentityProvider,
    keys: SigningKeys,
    clock: Time,
    caplog: pytest.LogCaptureFixture,
    status: int,
    body: bytes,
    reason: str,
) -> None:
    """Known keys keep working, and the log says what was received."""
    keys.key("rsa-1", "RS256")
    provider.status, provider.body = status, body
    clock.now += LIFESPAN_SECONDS
    unavailable(keys, "rsa-2")
    keys.key("rsa-1", "RS256")
    assert failures(caplog) == [f"identity provider {reason} (keys of http://127.0.0.1/keys)"]


def test_redirects_are_not_followed(provider: IdentityProvider, keys: SigningKeys, caplog: pytest.LogCaptureFixture) -> None:
    """The settings define where the keys are; a redirect could name an attacker's keys."""
    provider.status, provider.headers = 302, {"Location": "/elsewhere"}
    unavailable(keys)
    assert provider.requests == ["/keys"]
    assert failures(caplog) == ["identity provider answers 302 (keys of http://127.0.0.1/keys)"]
