"""The learned models of each tenant in Redis: the latest ones, which of them answers, and how the latest training ended."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import redis

from app.clock import Day
from app.errors import NotFound
from app.predictions.stored_model import (
    ModelContent,
    ModelSummary,
    ModelUnusable,
    decode_content,
    decode_summary,
    encode_content,
    encode_summary,
)
from app.storage.keys import Keys
from app.storage.lease import Lease
from app.storage.scripts import load_script, run_script

# Models that are kept: for as many days one can go back. Each has some 0.5 MB.
KEPT = 10
# How long others wait if the process that trains dies; longer than a training may last (``TRAINING_SECONDS`` of tasks).
LEASE_SECONDS = 900
_NONE = b"-"


class Attempt(NamedTuple):
    """The latest training that ended: on which day, and what came of it."""

    day: Day
    outcome: str

    def is_due(self, today: Day, pause_days: int) -> bool:
        """Whether the next training may begin: so many days later, or if the clock was set back."""
        return not self.day <= today < self.day + pause_days


class ModelStore:
    """The models of all tenants. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._put, self._promote, self._roll_back = (
            load_script(client, Path(__file__).with_name(name))
            for name in ("put_model.lua", "promote_model.lua", "roll_back_model.lua")
        )

    def put(self, summary: ModelSummary, content: ModelContent) -> None:
        """Store a model; the oldest beyond ``KEPT`` is removed, unless it answers."""
        tenant, version = summary.tenant, summary.version
        keys = [self._keys.models(tenant), self._keys.model_use(tenant), self._keys.model(tenant, version)]
        encoded = encode_summary(summary), encode_content(content)
        self._call(self._put, keys, [version, *encoded, KEPT, self._keys.model(tenant, "")])

    def promote(self, tenant: str, version: str) -> None:
        """Let a model answer.

        Raises:
            NotFound: There is no such model.
        """
        if not self._call(self._promote, self._use_keys(tenant), [version, KEPT]):
            raise NotFound(f"{tenant} has no model {version}")

    def retire(self, tenant: str) -> None:
        """Let no model answer; ``roll_back`` goes back to the one that did."""
        self._call(self._promote, self._use_keys(tenant), ["", KEPT])

    def roll_back(self, tenant: str, only_from: str = "") -> str | None:
        """Let the model answer that did before, or none if none did. ``only_from``: only if this one answers now.

        Returns:
            The version that answers now; None for none.

        Raises:
            NotFound: Nothing answered before, or another model answers now.
        """
        earlier = self._call(self._roll_back, self._use_keys(tenant), [only_from])
        if earlier is None:
            raise NotFound(f"{tenant} has no model to go back from")
        return None if earlier == _NONE else cast("bytes", earlier).decode()

    def promoted(self, tenant: str) -> str | None:
        """The version that answers; None for none."""
        version = cast("bytes | None", self._redis.hget(self._keys.model_use(tenant), "promoted"))
        return version.decode() if version else None

    def summaries(self, tenant: str) -> Mapping[str, ModelSummary | None]:
        """The tenant's models by version, the latest first; None for a damaged record."""
        found = cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.models(tenant)))
        return {version.decode(): _readable(found[version]) for version in sorted(found, reverse=True)}

    def summary(self, tenant: str, version: str) -> ModelSummary:
        """The summary of a model. Propagates ModelUnusable for a damaged record.

        Returns:
            The summary.

        Raises:
            NotFound: There is no such model.
        """
        found = cast("bytes | None", self._redis.hget(self._keys.models(tenant), version))
        if found is None:
            raise NotFound(f"{tenant} has no model {version}")
        return decode_summary(found)

    def content(self, tenant: str, version: str) -> ModelContent:
        """What a model answers with. Propagates ModelUnusable for a damaged one.

        Returns:
            The content.

        Raises:
            NotFound: There is no such model.
        """
        found = cast("bytes | None", self._redis.get(self._keys.model(tenant, version)))
        if found is None:
            raise NotFound(f"{tenant} has no model {version}")
        return decode_content(found)

    def note_attempt(self, tenant: str, attempt: Attempt) -> None:
        """Say how a training ended."""
        self._redis.hset(self._keys.model_use(tenant), mapping={"attempted": attempt.day, "outcome": attempt.outcome})

    def latest_attempt(self, tenant: str) -> Attempt | None:
        """How the latest training ended; None if none has ended yet."""
        day, outcome = cast("list[bytes | None]", self._redis.hmget(self._keys.model_use(tenant), ["attempted", "outcome"]))
        return Attempt(int(day), (outcome or b"").decode()) if day else None

    def drop(self, tenant: str) -> int:
        """Delete all models of a tenant, and end the right to store one that is being trained. Returns how many there were."""
        keys = self._keys
        versions = [version.decode() for version in cast("list[bytes]", self._redis.hkeys(keys.models(tenant)))]
        contents = (keys.model(tenant, version) for version in versions)
        self._redis.unlink(keys.training(tenant), keys.model_use(tenant), keys.models(tenant), *contents)
        return len(versions)

    def lease(self, tenant: str) -> Lease:
        """The right to train the tenant's model, of one process at a time."""
        return Lease(self._redis, self._keys.training(tenant), LEASE_SECONDS)

    def _use_keys(self, tenant: str) -> list[str]:
        return [self._keys.models(tenant), self._keys.model_use(tenant)]

    def _call(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        (reply,) = run_script(self._redis, script, [(keys, arguments)])
        return reply


def _readable(encoded: bytes) -> ModelSummary | None:
    try:
        return decode_summary(encoded)
    except ModelUnusable:
        return None
