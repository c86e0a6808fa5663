"""What errors of the broker and the result backend mean: kombu's, and those of the driver that it and Celery let through."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from kombu.exceptions import OperationalError

from app.storage.redis_client import not_now, unavailable


@contextmanager
def translated_broker_errors(dependency: str = "broker") -> Iterator[None]:
    """Raise DependencyUnavailable in place of errors that mean "not now", by the same decision as for the state's Redis.

    kombu's own says only that it could not: messages are always alike, so that is never about what was asked.
    """
    try:
        yield
    except (OperationalError, redis.RedisError) as error:
        driver = error.__cause__ if isinstance(error, OperationalError) else error
        meaning = not_now(driver, dependency) if isinstance(driver, redis.RedisError) else None
        if meaning is None and driver is error:
            raise
        raise meaning or unavailable(dependency, error) from error
