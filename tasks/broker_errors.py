"""What errors of the broker and the result backend mean: kombu's, and those of the driver that it and Celery let through."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from kombu.exceptions import OperationalError

from app.storage.redis_client import transient_error, unavailable


@contextmanager
def translated_broker_errors(dependency: str = "broker") -> Iterator[None]:
    """Raise DependencyUnavailable in place of transient errors, by the same decision as for the state's Redis.

    kombu's own says only that it could not: messages are always alike, so that is never about what was asked.
    """
    try:
        yield
    except (OperationalError, redis.RedisError) as error:
        driver = error.__cause__ if isinstance(error, OperationalError) else error
        meaning = transient_error(driver, dependency) if isinstance(driver, redis.RedisError) else None
        if meaning is None and driver is error:
            raise
        raise meaning or unavailable(dependency, error) from error
