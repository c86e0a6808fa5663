"""The request behind each task: its owner and students, to authorize access to the result."""

from collections.abc import Sequence
from typing import cast

import msgspec
import redis

from app.errors import NotFound
from app.purposes import Purpose
from app.storage.keys import Keys


class TaskRequest(msgspec.Struct, frozen=True):
    """``owner`` is the requester's identity; ``student_ids`` are the students whose data the result contains.

    ``purpose`` is what their data is used for; None if that needs no consent.
    """

    owner: str
    student_ids: Sequence[str] = ()
    purpose: Purpose | None = None


_decoder = msgspec.json.Decoder(TaskRequest)


class TaskRequests:
    """The requests of the tasks whose ids callers received. Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def remember(self, tenant: str, task_id: str, request: TaskRequest, ttl_seconds: int) -> None:
        """Store the request as long as the task's result. To be called before the task is sent, so that an erasure finds it."""
        pipeline = self._redis.pipeline()
        pipeline.set(self._keys.task(tenant, task_id), msgspec.json.encode(request), ex=ttl_seconds)
        for student_id in request.student_ids:
            about = self._keys.tasks_about(tenant, student_id)
            pipeline.sadd(about, task_id)
            pipeline.expire(about, ttl_seconds)
        pipeline.execute()

    def of(self, tenant: str, task_id: str) -> TaskRequest:
        """The request of a task. Raises NotFound if it is unknown in this tenant, or expired."""
        stored = cast("bytes | None", self._redis.get(self._keys.task(tenant, task_id)))
        try:
            return _decoder.decode(stored or b"")
        except msgspec.DecodeError:  # missing, or stored by a version that only stored the owner
            raise NotFound("no such task, or its result has expired") from None

    def about(self, tenant: str, student_id: str) -> list[str]:
        """The ids of the tasks whose result is about a student, as far as they are remembered."""
        members = cast("set[bytes]", self._redis.smembers(self._keys.tasks_about(tenant, student_id)))
        return sorted(each.decode() for each in members)

    def is_known(self, tenant: str, task_id: str) -> bool:
        """Whether the request of a task is remembered; it expires with the result."""
        return bool(self._redis.exists(self._keys.task(tenant, task_id)))

    def forget(self, tenant: str, student_id: str, task_id: str) -> None:
        """Forget a task about a student."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.delete(self._keys.task(tenant, task_id))
        pipeline.srem(self._keys.tasks_about(tenant, student_id), task_id)
        pipeline.execute()
