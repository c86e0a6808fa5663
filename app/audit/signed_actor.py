"""On whose behalf a worker acts: the API says so in the task, with a proof that it was the API.

Tasks go through Redis, and a worker seals what it writes into the trail. Without a proof, whoever can write to Redis could have
workers testify to what nobody asked for. A task that is copied there proves the same request again, under its correlation id.
"""

import hmac
import json
from collections.abc import Sequence
from typing import NamedTuple

from app.audit.entry import Actor


class SignedActor(NamedTuple):
    """Who asked, under which correlation id, and the proof, in hexadecimal digits."""

    role: str
    who: str
    correlation_id: str
    proof: str

    @property
    def actor(self) -> Actor:
        return Actor(self.role, self.who)


class ActorSigner:
    """Signs actors with a key, and verifies them with that or with the previous one.

    The proof is the HMAC-SHA256 (RFC 2104) of the JSON array of order, actor and correlation id.
    """

    def __init__(self, key: bytes, *previous: bytes) -> None:
        self._key = key
        self._all = (key, *previous)

    def sign(self, order: Sequence[object], actor: Actor, correlation_id: str) -> SignedActor:
        """The actor, signed for this order: tenant, action, and what it is to be done to. It must survive a journey as JSON."""
        return SignedActor(*actor, correlation_id, self._proof(self._key, order, *actor, correlation_id))

    def verify(self, order: Sequence[object], signed: Sequence[object]) -> SignedActor | None:
        """The actor, or None where this is no signed actor, or one of another order."""
        match signed:
            case [str(role), str(who), str(correlation_id), str(proof)]:
                proofs = (self._proof(key, order, role, who, correlation_id).encode() for key in self._all)
                if any(hmac.compare_digest(each, proof.encode(errors="replace")) for each in proofs):
                    return SignedActor(role, who, correlation_id, proof)
                return None
            case _:
                return None

    def _proof(self, key: bytes, order: Sequence[object], *said: str) -> str:
        return hmac.digest(key, json.dumps([order, said]).encode(), "sha256").hex()
