"""On whose behalf a worker acts: the API says so in the task, with a proof that it was the API.

Tasks go through Redis, and a worker seals what it writes into the trail. Without a proof, whoever can write to Redis could have
workers testify to what nobody asked for. A task that is copied there proves the same request again, under its correlation id.
"""

import hmac
import json
from collections.abc import Sequence
from typing import NamedTuple

from app.audit.entry import Actor


class Mandate(NamedTuple):
    """Who asked, under which correlation id, and the proof, in hexadecimal digits."""

    role: str
    who: str
    correlation_id: str
    proof: str

    @property
    def actor(self) -> Actor:
        return Actor(self.role, self.who)


class Mandates:
    """The mandates that a key proves, or the former one. HMAC-SHA256 (RFC 2104) of the JSON array of all that is said."""

    def __init__(self, key: bytes, *former: bytes) -> None:
        self._key = key
        self._all = (key, *former)

    def give(self, order: Sequence[object], actor: Actor, correlation_id: str) -> Mandate:
        """A mandate for this order: tenant, action, and what it is to be done to. It must survive a journey as JSON."""
        return Mandate(*actor, correlation_id, self._proof(self._key, order, *actor, correlation_id))

    def proven(self, order: Sequence[object], mandate: Sequence[object]) -> Mandate | None:
        """The mandate for this order, or None if it is none, or one for another order."""
        match mandate:
            case [str(role), str(who), str(correlation_id), str(proof)]:
                proofs = (self._proof(key, order, role, who, correlation_id).encode() for key in self._all)
                if any(hmac.compare_digest(each, proof.encode(errors="replace")) for each in proofs):
                    return Mandate(role, who, correlation_id, proof)
        return None

    def _proof(self, key: bytes, order: Sequence[object], *said: str) -> str:
        return hmac.digest(key, json.dumps([order, said]).encode(), "sha256").hex()
