"""Celery gets the broker's address in its own format."""

import pytest

from app.config.settings import load_settings
from tasks.broker import broker_settings, celery_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:p@h:1/2", "redis://:p@h:1/2"),
        ("rediss://h/0", "rediss://h/0"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///run/redis.sock?db=15&client_name=x", "redis+socket:///run/redis.sock?virtual_host=15"),
        ("unix://me:p%40ss@/r.sock?db=1", "redis+socket://me:p%40ss@/r.sock?virtual_host=1"),
        ("unix:///r.sock?username=me&password=p%2Fss", "redis+socket://me:p%2Fss@/r.sock?virtual_host=0"),
        ("unix://:p@/my%20run/a%3Bb.sock", "redis+socket://:p@/my%20run/a%3Bb.sock?virtual_host=0"),
        ("unix:///a;b.sock", "redis+socket:///a%3Bb.sock?virtual_host=0"),
    ],
)
def test_a_socket_in_the_file_system_has_another_form(url: str, expected: str) -> None:
    """Database, user and password are preserved; other URLs are unchanged."""
    assert celery_url(url) == expected


def test_broker_and_results_are_the_same_place() -> None:
    """This holds for either URL."""
    for names in ({"MASTERY_REDIS_URL": "unix:///r.sock"}, {"MASTERY_BROKER_URL": "unix:///r.sock"}):
        made = broker_settings(load_settings(names))
        assert (made["broker_url"], made["redis_socket_keepalive"]) == (made["result_backend"], False)
    assert broker_settings(load_settings({"MASTERY_REDIS_URL": "redis://h"}))["redis_socket_keepalive"] is True
