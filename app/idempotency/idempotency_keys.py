"""A request that may be sent again: whoever repeats it under its key gets its answer, and nothing happens twice.

After the IETF's draft "The Idempotency-Key HTTP Header Field". A key belongs to one caller of one tenant, and is

- *claimed* by the request that came first, until it is answered; the claim of one that died runs out after ``LEASE_SECONDS``;
- *answered*, for the time that the settings name.
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
# Longer than a request takes: a handful of commands that each give up after three attempts of two seconds, and a wait for Kafka
# of five. One that takes longer still loses the key, and nothing else.
LEASE_SECONDS = 60
HASH_BYTES = 16  # of a key or a request: whoever finds two that are alike confuses only themselves

# What a tenant's answers take is counted in so many parts of the time that they are kept: it is known to a 24th.
PARTS = 24
OVERHEAD_BYTES = 100  # that Redis needs for a key besides its name and value

_VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")


class AnswersFull(EngineError):
    """The answers that are kept of a tenant take as much as they may. In so many seconds some will be gone."""

    def __init__(self, quota: int, seconds: int) -> None:
        super().__init__(quota, seconds)
        self.quota = quota
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the answers that are kept for the tenant take {self.quota:,} bytes; send the request without a key, or later"


class Claim(NamedTuple):
    """The right to answer the request under a key: where it is noted, and what stands there while it is ours.

    ``taken`` is where the bytes of its answer are counted.
    """

    name: str
    entry: bytes
    taken: str


class Answer(NamedTuple):
    """What the first request was answered: HTTP status, and what its body is made of again."""

    status: int
    body: bytes


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """What is stored for a key. ``status`` 0: no answer yet. ``body`` is compressed."""

    fingerprint: bytes
    claim: bytes
    status: int = 0
    body: bytes = b""


_entry = msgspec.msgpack.Decoder(_Entry)


class IdempotencyKeys:
    """Which keys are in use, and what was answered under them. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str, ttl_seconds: int, quotas: Quotas) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._ttl_seconds = ttl_seconds
        self._part_seconds = math.ceil(ttl_seconds / PARTS)
        self._quotas = quotas
        self._claim = load_script(client, Path(__file__).with_name("claim_key.lua"))
        self._settle = load_script(client, Path(__file__).with_name("settle_key.lua"))

    def claim(self, tenant: str, identity: str, key: str, fingerprint: bytes) -> Claim | Answer | None:
        """The right to answer this request, or the answer that it had before, or None while another like it is being answered.

        Raises InvalidInput for what can be no key, and for a key of another request; and AnswersFull where the tenant's answers
        take as much as they may.
        """
        if not _VISIBLE_ASCII.fullmatch(key):
            raise InvalidInput(HEADER, "must be 1 to 255 visible ASCII characters")
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
        """Keep the answer for whoever repeats the request. Nothing happens if the claim ran out: the key is another's then."""
        entry = msgspec.structs.replace(_entry.decode(claim.entry), status=answer.status, body=zlib.compress(answer.body))
        self._replace(claim, msgspec.msgpack.encode(entry))

    def release(self, claim: Claim) -> None:
        """Free the key, so that the request may be tried again. Nothing happens if the claim ran out."""
        self._replace(claim, b"")

    def _replace(self, claim: Claim, entry: bytes) -> None:
        size = len(claim.name) + len(entry) + OVERHEAD_BYTES
        self._settle([claim.name, claim.taken], [claim.entry, entry, self._ttl_seconds, self._part_seconds, size])


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """What tells one request from another."""
    return _hash(method, path, body)


def _hash(*parts: str | bytes) -> bytes:
    """Of the parts, none of which but the last may contain a zero byte."""
    encoded = (part.encode() if isinstance(part, str) else part for part in parts)
    return blake2b(b"\0".join(encoded), digest_size=HASH_BYTES).digest()
