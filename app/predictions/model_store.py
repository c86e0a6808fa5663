"""The learned models of each tenant in Redis: the latest ones, which of them answers, and how the latest training ended."""

from collections.abc import Mapping
from datetime import timedelta
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
from app.predictions.training_lease import LEASE_SECONDS, TrainingRuns, lost, token_of
from app.storage.keys import Keys
from app.storage.lease import Lease
from app.storage.scripts import load_script, run_script

# Models that are kept: for as many days one can go back. Each has some 0.5 MB.
KEPT = 10
# Days after a training that failed until the next one: the reason, such as too little memory, is seldom gone within hours.
PAUSE_AFTER_FAILURE = 1
_NONE = b"-"


class Attempt(NamedTuple):
    """The latest training that ended: on which day, and what came of it; ``failed`` if by an error or after too long."""

    day: Day
    outcome: str
    failed: bool = False

    def is_due(self, today: Day, pause_days: int) -> bool:
        """Whether the next training may begin: so many days later, or if the clock was set back."""
        pause = min(pause_days, PAUSE_AFTER_FAILURE) if self.failed else pause_days
        return not self.day <= today < self.day + pause


class ModelStore:
    """The models of all tenants. Raises DependencyUnavailable when Redis does not answer.

    A model expires ``retention_days`` after it was stored, with the latest facts that it was trained on. What a training
    stores, it stores ``by`` its lease, or raises TrainingRuns if that was lost: the models of an erased tenant stay away.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, retention_days: int) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._kept_seconds = timedelta(days=retention_days) // timedelta(seconds=1)
        self._put, self._promote, self._promoted, self._roll_back, self._note = (
            load_script(client, Path(__file__).with_name(f"{name}.lua"))
            for name in ("put_model", "promote_model", "promoted_model", "roll_back_model", "note_attempt")
        )

    def put(self, summary: ModelSummary, content: ModelContent, *, by: Lease | None = None) -> None:
        """Store a model; the oldest beyond ``KEPT`` is removed, unless it answers.

        Raises:
            TrainingRuns: The lease was lost.
        """
        tenant, version, keys = summary.tenant, summary.version, self._keys
        names = [keys.models(tenant), keys.model_use(tenant), keys.model(tenant, version), keys.training(tenant)]
        encoded = encode_summary(summary), encode_content(content)
        arguments = [version, *encoded, KEPT, keys.model(tenant, ""), self._kept_seconds, token_of(by)]
        if not self._call(self._put, names, arguments):
            raise TrainingRuns(lost(tenant))

    def promote(self, tenant: str, version: str, *, by: Lease | None = None) -> None:
        """Let a model answer.

        Raises:
            NotFound: There is no such model.
        """
        if not self._use(tenant, version, by):
            raise NotFound(f"{tenant} has no model {version}")

    def retire(self, tenant: str, *, by: Lease | None = None) -> None:
        """Let no model answer; ``roll_back`` goes back to the one that did."""
        self._use(tenant, "", by)

    def _use(self, tenant: str, version: str, by: Lease | None) -> bool:
        names = [*self._use_keys(tenant), self._keys.training(tenant)]
        reply = self._call(self._promote, names, [version, KEPT, self._keys.model(tenant, ""), token_of(by)])
        if reply < 0:
            raise TrainingRuns(lost(tenant))
        return bool(reply)

    def roll_back(self, tenant: str, only_from: str = "") -> str | None:
        """Let the model answer that did before, or none if none did. ``only_from``: only if this one answers now.

        Returns:
            The version that answers now; None for none.

        Raises:
            NotFound: There is nothing to go back from, or another model answers now.
        """
        earlier = self._call(self._roll_back, self._use_keys(tenant), [only_from, self._keys.model(tenant, "")])
        if earlier is None:
            raise NotFound(f"{tenant} has no model to go back from")
        return None if earlier == _NONE else cast("bytes", earlier).decode()

    def earlier(self, tenant: str) -> str | None:
        """Read to which version ``roll_back`` would go back now.

        Returns:
            The version; None for none.

        Raises:
            NotFound: There is nothing to go back from.
        """
        held = cast("list[bytes | None]", self._redis.hmget(self._keys.model_use(tenant), ["promoted", "before"]))
        promoted, before = (each or b"" for each in held)
        if not promoted and not before:
            raise NotFound(f"{tenant} has no model to go back from")
        found = next((each for each in before.split() if each == _NONE or self._is_kept(tenant, each.decode())), _NONE)
        return None if found == _NONE else found.decode()

    def _is_kept(self, tenant: str, version: str) -> bool:
        is_listed = self._redis.hexists(self._keys.models(tenant), version)
        return bool(is_listed and self._redis.exists(self._keys.model(tenant, version)))

    def promoted(self, tenant: str) -> str | None:
        """The version that answers; None for none, or if it has expired."""
        arguments = [self._keys.model(tenant, "")]
        version = cast("bytes | None", self._call(self._promoted, [self._keys.model_use(tenant)], arguments))
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

    def note_attempt(self, tenant: str, attempt: Attempt, *, by: Lease | None = None) -> None:
        """Say how a training ended.

        Raises:
            TrainingRuns: The lease was lost.
        """
        fields = ["attempted", attempt.day, "outcome", attempt.outcome, "failed", int(attempt.failed)]
        names = [self._keys.model_use(tenant), self._keys.training(tenant)]
        if not self._call(self._note, names, [token_of(by), *fields]):
            raise TrainingRuns(lost(tenant))

    def latest_attempt(self, tenant: str) -> Attempt | None:
        """How the latest training ended; None if none has ended yet."""
        fields = self._redis.hmget(self._keys.model_use(tenant), ["attempted", "outcome", "failed"])
        day, outcome, failed = cast("list[bytes | None]", fields)
        return Attempt(int(day), (outcome or b"").decode(), failed == b"1") if day else None

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

    def deployment_lease(self) -> Lease:
        """The right of a worker to train models, of one process of the deployment at a time: a training takes 500 MB."""
        return Lease(self._redis, self._keys.trainer(), LEASE_SECONDS)

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
