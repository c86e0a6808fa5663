"""On whose behalf a worker acts: the API says so in the task, with a proof that it was the API.

Tasks go through Redis, and a worker seals what it writes into the trail. Without a proof, whoever can write to Redis could have
workers testify to what nobody asked for. A task that is copied there proves the same request again, under its correlation id.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from itsdangerous import Signer

from app.audit.entry import Actor


class SignedActor(NamedTuple):
    """Who asked, under which correlation id, and the proof, in base64."""

    role: str
    who: str
    correlation_id: str
    proof: str

    @property
    def actor(self) -> Actor:
        return Actor(self.role, self.who)


class ActorSigner:
    """Signs actors with a key, and verifies them with that or with a previous one.

    The proof is itsdangerous's signature, with SHA-256, of the JSON array of order, actor and correlation id.
    """

    def __init__(self, key: bytes, *previous: bytes) -> None:
        self._signer = Signer([*previous, key], salt="mastery.signed-actor", digest_method=sha256)  # it signs with the last

    def sign(self, order: Sequence[object], actor: Actor, correlation_id: str) -> SignedActor:
        """The actor, signed for this order: tenant, action, and what it is to be done to. It must survive a journey as JSON."""
        signature = self._signer.get_signature(_text(order, *actor, correlation_id))
        return SignedActor(*actor, correlation_id, signature.decode())

    def verify(self, order: Sequence[object], signed: Sequence[object]) -> SignedActor | None:
        """The actor, or None where this is no signed actor, or one of another order."""
        match signed:
            case [str(role), str(who), str(correlation_id), str(proof)]:
                text = _text(order, role, who, correlation_id)
                is_good = self._signer.verify_signature(text, proof.encode(errors="replace"))
                return SignedActor(role, who, correlation_id, proof) if is_good else None
            case _:
                return None


def _text(order: Sequence[object], *said: str) -> str:
    return json.dumps([order, said])
