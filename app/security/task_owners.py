"""Who asked for which task, so that only they can ask what became of it."""

from typing import cast

import redis

from app.errors import NotFound
from app.storage.keys import Keys


class TaskOwners:
    """The owner of each task handed over to a caller. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def remember(self, tenant: str, task_id: str, owner: str, ttl_seconds: int) -> None:
        """Note the owner for as long as the task's result is kept."""
        self._redis.set(self._keys.task(tenant, task_id), owner, ex=ttl_seconds)

    def owner(self, tenant: str, task_id: str) -> str:
        """The owner of a task. Raises NotFound for a task of another tenant, or one that is unknown or forgotten."""
        owner = cast("bytes | None", self._redis.get(self._keys.task(tenant, task_id)))
        if owner is None:
            raise NotFound("no such task, or its result has expired")
        return owner.decode()
