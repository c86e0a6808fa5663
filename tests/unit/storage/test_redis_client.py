"""Which Redis errors are transient, as the driver raises them; here those that no test server can produce."""

import pytest
import redis
from redis._parsers.base import BaseParser

from app.errors import DependencyUnavailable
from app.storage.redis_client import TRANSIENT_CODES, raise_if_transient, transient_error

ABOUT_THE_SERVER = {
    "CLUSTERDOWN Hash slot not served": "CLUSTERDOWN",
    "TRYAGAIN Multiple keys request during rehashing of slot": "TRYAGAIN",
    "MOVED 3999 127.0.0.1:6381": "MOVED",
    "ASK 3999 127.0.0.1:6381": "ASK",
    "NOAUTH Authentication required.": "NOAUTH",
    "WRONGPASS invalid username-password pair or user is disabled.": "WRONGPASS",
    "DENIED Redis is running in protected mode because protected mode is enabled": "DENIED",
    "EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.": "NOREPLICAS",
    "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.": "OOM",
    "GONE the chunk script: 1234, on @user_script:45.": "GONE",
}
ABOUT_THE_COMMAND = [
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "BUSYKEY Target key name already exists.",
    "BUSYGROUP Consumer Group name already exists",
    "NOSCRIPT No matching script. Please use EVAL.",
    "EXECABORT Transaction discarded because of previous errors.",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR value is not an integer or out of range",
    "user_script:12: attempt to index a nil value script: 1234, on @user_script:12.",
]


def read_by_the_driver(reply: str) -> redis.RedisError:
    error: redis.RedisError = BaseParser.parse_error(reply)  # type: ignore[no-untyped-call]
    return error


@pytest.mark.parametrize("reply", ABOUT_THE_SERVER)
def test_an_answer_about_the_server(reply: str) -> None:
    """Such an error is transient, and has a readable message."""
    assert TRANSIENT_CODES[ABOUT_THE_SERVER[reply]] == getattr(transient_error(read_by_the_driver(reply)), "state", None)


@pytest.mark.parametrize("reply", ABOUT_THE_COMMAND)
def test_an_answer_about_the_command(reply: str) -> None:
    """Such an error is not transient, whatever its first word is."""
    assert transient_error(read_by_the_driver(reply)) is None
    raise_if_transient([reply, b"a reply", None, 1])


def test_a_database_that_is_not_there() -> None:
    """It is reported without a traceback, since the address is wrong."""
    error = transient_error(read_by_the_driver("ERR DB index is out of range"))
    assert str(error) == "redis has no database of that number"


@pytest.mark.parametrize("text", ["NOREPLICAS Not enough good replicas to write.", "ERR ACL failure in script: User default …"])
def test_what_a_script_caught(text: str) -> None:
    """An error that a script caught is text, and is classified the same way."""
    with pytest.raises(DependencyUnavailable, match=r"^redis "):
        raise_if_transient(["WRONGTYPE Operation …", text])
