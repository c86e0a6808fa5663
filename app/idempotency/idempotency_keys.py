"""Idempotent requests: a repeated request with the same key gets the stored response and has no further effect.

Source: IETF draft "The Idempotency-Key HTTP Header Field". A key belongs to one caller of one tenant, and is

- *claimed* by the first request until its response is stored; an abandoned claim expires after ``LEASE_SECONDS``;
- *answered* afterwards, for the time of the setting ``idempotency_ttl_seconds``.
"""

import math
import re
import zlib
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, cast
from uuid import uuid4

import msgspec
import redis

from app.config.quotas import Quotas
from app.errors import EngineError, InvalidInput
from app.storage.keys import Keys
from app.storage.scripts import load_script

HEADER = "Idempotency-Key"
# Longer than any request: a few Redis commands with up to three attempts of two seconds, and a wait for Kafka of five. A slower
# request only loses its key.
LEASE_SECONDS = 60
HASH_BYTES = 16  # of a key or a request; a caller who finds a collision harms only itself

# The retention is divided into time slots, and the size of a tenant's stored responses is counted per slot.
PARTS = 24
OVERHEAD_BYTES = 100  # of a Redis key, besides name and value

MIN_KEY_CHARACTERS, MAX_KEY_CHARACTERS = 1, 255
_VISIBLE_ASCII = re.compile(f"[!-~]{{{MIN_KEY_CHARACTERS},{MAX_KEY_CHARACTERS}}}")


class AnswersFull(EngineError):
    """A tenant's stored responses exhaust its quota (bytes). Some may have expired in ``seconds``."""

    def __init__(self, quota: int, seconds: int) -> None:
        super().__init__(quota, seconds)
        self.quota = quota
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the answers that are kept for the tenant take {self.quota:,} bytes; send the request without a key, or later"


class Claim(NamedTuple):
    """The right to process the request of a key. ``name`` is the Redis key, ``entry`` its value while the claim is valid.

    ``taken`` is the Redis key that counts the bytes of the tenant's responses.
    """

    name: str
    entry: bytes
    taken: str


class Answer(NamedTuple):
    """The first request's response: HTTP status, and the data from which its body is built."""

    status: int
    body: bytes


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """The value stored for a key. ``status`` 0: no response yet. ``body`` is compressed."""

    fingerprint: bytes
    claim: bytes
    status: int = 0
    body: bytes = b""


_entry = msgspec.msgpack.Decoder(_Entry)


class IdempotencyKeys:
    """The keys in use and their stored responses. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, ttl_seconds: int, quotas: Quotas) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._ttl_seconds = ttl_seconds
        self._part_seconds = math.ceil(ttl_seconds / PARTS)
        self._quotas = quotas
        self._claim = load_script(client, Path(__file__).with_name("claim_key.lua"))
        self._settle = load_script(client, Path(__file__).with_name("settle_key.lua"))

    def claim(self, tenant: str, identity: str, key: str, fingerprint: bytes) -> Claim | Answer | None:
        """Claim a key for a request.

        Returns:
            A claim; or the stored answer; or None while the same request is being processed.

        Raises:
            InvalidInput: The key is malformed, or belongs to another request.
            AnswersFull: The tenant's stored answers exhaust its quota.
        """
        if not _VISIBLE_ASCII.fullmatch(key):
            raise InvalidInput(HEADER, f"must be {MIN_KEY_CHARACTERS} to {MAX_KEY_CHARACTERS} visible ASCII characters")
        name = self._keys.idempotency(tenant, _hash(identity, key).hex())
        mine = msgspec.msgpack.encode(_Entry(fingerprint, uuid4().bytes))
        quota, taken = self._quotas.of(tenant), self._keys.idempotency_bytes(tenant)
        reply = self._claim([name, taken], [mine, LEASE_SECONDS, quota, self._part_seconds, PARTS])
        found, *full = cast("list[bytes | None]", reply) or [mine]
        if full:
            raise AnswersFull(quota, self._part_seconds)
        if found is None or found == mine:  # the driver repeats a command whose reply was lost
            return Claim(name, mine, taken)
        entry = _entry.decode(found)
        if entry.fingerprint != fingerprint:
            raise InvalidInput(HEADER, "was used with another body")
        return Answer(entry.status, zlib.decompress(entry.body)) if entry.status else None

    def keep(self, claim: Claim, answer: Answer) -> None:
        """Store the answer for repeated requests. Does nothing if the claim expired."""
        entry = msgspec.structs.replace(_entry.decode(claim.entry), status=answer.status, body=zlib.compress(answer.body))
        self._replace(claim, msgspec.msgpack.encode(entry))

    def release(self, claim: Claim) -> None:
        """Release the key, so that the request can be retried. Does nothing if the claim expired."""
        self._replace(claim, b"")

    def _replace(self, claim: Claim, entry: bytes) -> None:
        size = len(claim.name) + len(entry) + OVERHEAD_BYTES
        self._settle([claim.name, claim.taken], [claim.entry, entry, self._ttl_seconds, self._part_seconds, size])


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """A hash that identifies a request."""
    return _hash(method, path, body)


def _hash(*parts: str | bytes) -> bytes:
    """Hash of the parts, of which only the last may contain a zero byte."""
    encoded = (part.encode() if isinstance(part, str) else part for part in parts)
    return blake2b(b"\0".join(encoded), digest_size=HASH_BYTES).digest()
