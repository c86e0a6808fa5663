"""The caller on whose behalf a worker acts: the API signs it into the task.

Tasks pass through Redis, and workers seal their entries in the trail. Without a signature, anyone with write access to Redis
could make workers record requests that never happened. A copied task repeats the same request under its correlation id.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from itsdangerous import Signer

from app.audit.entry import Actor


class SignedActor(NamedTuple):
    """The caller, the request's correlation id, and the signature in Base64."""

    role: str
    who: str
    correlation_id: str
    proof: str

    @property
    def actor(self) -> Actor:
        return Actor(self.role, self.who)


class ActorSigner:
    """Signs actors with the current key, and verifies them with the current or a previous one.

    The proof is itsdangerous's signature (HMAC-SHA256) of the JSON array of order, actor and correlation id.
    """

    def __init__(self, key: bytes, *previous: bytes) -> None:
        self._signer = Signer([*previous, key], salt="mastery.signed-actor", digest_method=sha256)  # signs with the last key

    def sign(self, order: Sequence[object], actor: Actor, correlation_id: str) -> SignedActor:
        """Sign the actor for an order: tenant, action and target. The order must be unchanged after a JSON round trip."""
        signature = self._signer.get_signature(_text(order, *actor, correlation_id))
        return SignedActor(*actor, correlation_id, signature.decode())

    def verify(self, order: Sequence[object], signed: Sequence[object]) -> SignedActor | None:
        """The verified actor; None if it is not a signed actor, or signed for another order."""
        match signed:
            case [str(role), str(who), str(correlation_id), str(proof)]:
                text = _text(order, role, who, correlation_id)
                is_good = self._signer.verify_signature(text, proof.encode(errors="replace"))
                return SignedActor(role, who, correlation_id, proof) if is_good else None
            case _:
                return None


def _text(order: Sequence[object], *said: str) -> str:
    return json.dumps([order, said])
