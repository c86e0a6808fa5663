"""The callbacks of ended batches in Redis: when each is to be attempted, and who attempts it. See docs/decisions/0022.

``BatchStore.forget`` notes that a callback is due; its outcome is a field of the batch.
"""

from pathlib import Path
from typing import NamedTuple, cast

import redis

from app.batches.batch import BatchKey, CallbackState
from app.storage.keys import Keys
from app.storage.scripts import load_script


class CallbackClaim(NamedTuple):
    """A callback that the holder attempts, and until when nobody else does: milliseconds since 1970-01-01."""

    key: BatchKey
    until: int


class CallbackStore:
    """The callbacks of all tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._keys = keys = Keys(key_prefix)
        self._of_all = [keys.callbacks(), keys.callback_tenants()]
        folder = Path(__file__).parent
        self._claim = load_script(client, folder / "claim_callback.lua")
        self._release = load_script(client, folder / "release_callback.lua")
        self._note = load_script(client, folder / "note_callback.lua")

    def claim(self, lease_seconds: float) -> CallbackClaim | None:
        """Claim the callback that has been due for longest, of a tenant without one in hand.

        It is due again after ``lease_seconds``, in case the holder dies.

        Returns:
            The claim; None if there is no such callback.
        """
        found = cast("list[bytes | int]", self._claim(self._of_all, [round(lease_seconds * 1000)]))
        if not found:
            return None
        name, until = cast("tuple[bytes, int]", found)
        return CallbackClaim(BatchKey.parse(name.decode()), int(until))

    def release(self, claim: CallbackClaim, wait_seconds: float | None = None) -> None:
        """Give up a claim: the callback is due again after ``wait_seconds``, or with None never."""
        wait = "" if wait_seconds is None else round(wait_seconds * 1000)
        self._release(self._of_all, [str(claim.key), claim.key.tenant, claim.until, wait])

    def note(self, key: BatchKey, outcome: CallbackState | None = None) -> int:
        """Count an attempt, and note the outcome if it was the last. Returns the number of attempts; 0 without such a batch."""
        return cast("int", self._note([self._keys.batch(*key)], [outcome.value if outcome else ""]))
