"""Translates errors of the broker and the result backend: kombu's, and those of redis-py that kombu and Celery pass on."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from kombu.exceptions import OperationalError

from app.storage.redis_client import transient_error, unavailable


@contextmanager
def translated_broker_errors(dependency: str = "broker") -> Iterator[None]:
    """Raise DependencyUnavailable instead of transient errors, by the same rules as for the state's Redis."""
    try:
        yield
    except (OperationalError, redis.RedisError) as error:  # OperationalError is transient: no message's content causes it
        driver = error.__cause__ if isinstance(error, OperationalError) else error
        meaning = transient_error(driver, dependency) if isinstance(driver, redis.RedisError) else None
        if meaning is None and driver is error:
            raise
        raise meaning or unavailable(dependency, error) from error
