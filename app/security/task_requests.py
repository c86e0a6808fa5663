"""Who asked for which task, and about whom, so that only those who may see the answer can ask for it."""

from collections.abc import Sequence
from typing import cast

import msgspec
import redis

from app.errors import NotFound
from app.storage.keys import Keys


class TaskRequest(msgspec.Struct, frozen=True):
    """``owner`` is the identity of who asked; ``student_ids`` are those whose data the answer tells."""

    owner: str
    student_ids: Sequence[str] = ()


_decoder = msgspec.json.Decoder(TaskRequest)


class TaskRequests:
    """The request behind each task handed over to a caller. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def remember(self, tenant: str, task_id: str, request: TaskRequest, ttl_seconds: int) -> None:
        """Note the request for as long as the task's result is kept."""
        self._redis.set(self._keys.task(tenant, task_id), msgspec.json.encode(request), ex=ttl_seconds)

    def of(self, tenant: str, task_id: str) -> TaskRequest:
        """The request behind a task. Raises NotFound for a task of another tenant, or one that is unknown or forgotten."""
        stored = cast("bytes | None", self._redis.get(self._keys.task(tenant, task_id)))
        try:
            return _decoder.decode(stored or b"")
        except msgspec.DecodeError:  # none, or one of a version that noted the owner alone
            raise NotFound("no such task, or its result has expired") from None
