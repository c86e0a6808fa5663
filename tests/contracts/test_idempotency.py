"""The store of idempotency keys, on every server."""

import dataclasses
import socket
from collections.abc import Iterator
from secrets import token_bytes
from threading import Thread
from urllib.parse import urlsplit

import pytest

from app.bootstrap import Engine, bootstrap
from app.config.quotas import Quotas
from app.errors import InvalidInput
from app.idempotency.idempotency_keys import LEASE_SECONDS, Answer, AnswersFull, Claim, IdempotencyKeys, fingerprint
from tests.stack import wait_for

REQUEST = fingerprint("POST", "/mastery/ingest", b"{}")
ANSWER = Answer(202, b'{"success": true}' * 100)


def claim(
    engine: Engine, key: str = "k-1", request: bytes = REQUEST, tenant: str = "t-1", identity: str = "service:tutor"
) -> Claim | Answer | None:
    return engine.idempotency_keys.claim(tenant, identity, key, request)


def claimed(engine: Engine) -> Claim:
    claimed = claim(engine)
    assert isinstance(claimed, Claim)
    return claimed


def ttl(engine: Engine, mine: Claim) -> int:
    return int(engine.redis.ttl(mine.name))


def test_a_key_is_claimed_once_then_answered(engine: Engine) -> None:
    """Until there is a response, others see that the request is in progress; then they get the response, for a day."""
    mine = claimed(engine)
    assert LEASE_SECONDS - 5 <= ttl(engine, mine) <= LEASE_SECONDS
    assert claim(engine) is None
    engine.idempotency_keys.keep(mine, ANSWER)
    assert claim(engine) == ANSWER
    assert 86_395 <= ttl(engine, mine) <= 86_400
    engine.idempotency_keys.release(mine)
    assert claim(engine) == ANSWER


def test_another_request_with_the_key_is_refused(engine: Engine) -> None:
    """This holds before and after the response."""
    other = fingerprint("POST", "/mastery/ingest", b"{ }")
    mine = claimed(engine)
    with pytest.raises(InvalidInput, match="Idempotency-Key: was used with another body"):
        claim(engine, request=other)
    engine.idempotency_keys.keep(mine, ANSWER)
    with pytest.raises(InvalidInput):
        claim(engine, request=other)


def test_keys_belong_to_one_caller(engine: Engine) -> None:
    """The same key of another tenant, role or subject is another key."""
    engine.idempotency_keys.keep(claimed(engine), ANSWER)
    assert isinstance(claim(engine, tenant="t-2"), Claim)
    assert isinstance(claim(engine, identity="admin:tutor"), Claim)
    assert isinstance(claim(engine, identity="service:quiz"), Claim)
    assert isinstance(claim(engine, key="k-2"), Claim)


@pytest.fixture
def forgetful(engine: Engine) -> Iterator[Engine]:
    """An engine whose first connection is cut after the server has set a key, before it replies."""
    server = urlsplit(engine.settings.redis_url)

    def relay(listener: socket.socket) -> None:
        for is_first in (True, False):
            client, upstream = listener.accept()[0], socket.create_connection((server.hostname, server.port))
            with client, upstream:
                while command := client.recv(65_536):
                    upstream.sendall(command)
                    reply = upstream.recv(65_536)
                    if is_first and b"\r\nEVALSHA\r\n" in command and not reply.startswith(b"-"):  # -NOSCRIPT
                        break
                    client.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        relaying = Thread(target=relay, args=(listener,))
        relaying.start()
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}{server.path}"
        made = bootstrap(dataclasses.replace(engine.settings, redis_url=url))
        yield made
        made.redis.close()
        relaying.join()


def test_a_claim_whose_reply_was_lost_is_still_a_claim(engine: Engine, forgetful: Engine) -> None:
    """The driver retries, and finds the key taken by itself."""
    assert isinstance(claim(forgetful), Claim)
    assert claim(engine) is None


def test_a_released_key_is_free(engine: Engine) -> None:
    """It can be used for any request."""
    engine.idempotency_keys.release(claimed(engine))
    assert isinstance(claim(engine, request=b"another"), Claim)


def test_a_claim_that_ran_out_changes_nothing(engine: Engine) -> None:
    """The new owner of the key keeps it, and its response."""
    late = claimed(engine)
    engine.redis.pexpire(late.name, 1)
    wait_for(lambda: not engine.redis.exists(late.name), 5)
    engine.idempotency_keys.keep(late, ANSWER)
    assert not engine.redis.exists(late.name)
    mine = claimed(engine)
    engine.idempotency_keys.keep(late, ANSWER)
    engine.idempotency_keys.release(late)
    assert claim(engine) is None
    other = Answer(422, b"{}")
    engine.idempotency_keys.keep(mine, other)
    engine.idempotency_keys.keep(late, ANSWER)
    assert claim(engine) == other


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "\x7f", "\x00", "é", "x" * 256])
def test_what_can_be_no_key(engine: Engine, key: str) -> None:
    """1 to 255 visible ASCII characters, including quotes, are a key; nothing else is."""
    with pytest.raises(InvalidInput, match="must be 1 to 255 visible ASCII characters"):
        claim(engine, key=key)


@pytest.mark.parametrize("key", ["!", "~" * 255, '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "{t-2}:*"])
def test_what_can(engine: Engine, key: str) -> None:
    """A key is not part of the name in Redis, whatever it contains."""
    mine = claim(engine, key=key)
    assert isinstance(mine, Claim)
    assert key not in mine.name.removeprefix(f"{engine.settings.key_prefix}:{{t-1}}:idempotency:")


def test_answers_beyond_the_quota(engine: Engine) -> None:
    """New keys are rejected, existing ones work, and other tenants have their own quota."""
    keys = IdempotencyKeys(engine.redis, engine.settings.key_prefix, 86_400, Quotas("1000000, t-1=600"))

    def answered(tenant: str, key: str) -> None:
        claim = keys.claim(tenant, "service:tutor", key, b"print")
        assert isinstance(claim, Claim)
        keys.keep(claim, Answer(202, token_bytes(300)))

    answered("t-1", "k-1")
    answered("t-1", "k-2")
    with pytest.raises(AnswersFull, match="take 600 bytes; send the request without a key, or later"):
        keys.claim("t-1", "service:tutor", "k-3", b"print")
    assert isinstance(keys.claim("t-1", "service:tutor", "k-1", b"print"), Answer)
    for number in range(5):
        answered("t-2", f"k-{number}")
    taken = f"{engine.settings.key_prefix}:{{t-1}}:idempotency-bytes"
    (part,) = map(_text, engine.redis.hkeys(taken))
    engine.redis.hset(taken, str(int(part) - 25), "1000")
    engine.redis.hdel(taken, part)
    answered("t-1", "k-3")  # those are gone by now
    assert list(map(_text, engine.redis.hkeys(taken))) == [part]
    assert 0 < engine.redis.ttl(taken) <= 86_400 + 7_200


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
