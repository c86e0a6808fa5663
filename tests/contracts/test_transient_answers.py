"""Every store treats a server that rejects commands as temporarily unavailable, without quoting the command."""

import inspect
import traceback
from collections.abc import Callable, Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from app.storage.redis_client import RETRIES, transient_error
from tests.conftest import NOW
from tests.contracts.ailing_server import NOWHERE, STATES, Ailing, Refuses
from tests.contracts.store_call import STUDENT, Call
from tests.contracts.store_calls import store_calls

# Methods without a call to Redis.
PURE = {
    "audit.pseudonym",
    "audit.pseudonyms",
    "audit.chain",
    "facts.record_key",
    "letter_keys.record_id",
    "rankings.has",
    "revocations.keys",
}
# Calls that read in a transaction. A full Redis rejects them, since the reply may need much memory; Valkey does not.
TRANSACTIONS = {"ledger.counts", "risk_lists.part", "audit.ends", "audit.append and trim"}


@pytest.fixture
def engine(server: Ailing) -> Iterator[Engine]:
    """An engine on the server, without data of earlier tests."""
    server.admin.flushall()
    made = bootstrap(load_settings({"MASTERY_REDIS_URL": server.url}), clock=lambda: NOW)
    made.redis.set_retry(Retry(NoBackoff(), RETRIES, (redis.ConnectionError,)))  # as usual, but at once
    yield made
    made.redis.close()


def outcome(call: Call) -> str:
    """The outcome of a call."""
    try:
        call.make()
    except DependencyUnavailable as error:
        told = "".join(traceback.format_exception(error))
        return "tells of a student" if STUDENT in told else "not now"
    except redis.RedisError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def refused(call: Call, refuses: Refuses) -> bool:
    """Whether a server in this state rejects this call."""
    strength = [Refuses.GROWTH, Refuses.WRITES, Refuses.ALL]
    return strength.index(refuses) >= strength.index(call.does)


@pytest.mark.parametrize("state", STATES)
def test_every_call_of_a_server_that_refuses(server: Ailing, engine: Engine, state: str) -> None:
    """Rejected calls raise DependencyUnavailable, others work; afterwards all calls work again."""
    enter, refuses = STATES[state]
    calls = store_calls(engine)
    with enter(server):
        outcomes = {name: outcome(call) for name, call in calls.items()}
    expected = {name: "not now" if refused(call, refuses) else "done" for name, call in calls.items()}
    if refuses is Refuses.GROWTH:
        expected |= {name: outcomes[name] for name in TRANSACTIONS if outcomes[name] == "not now"}
    assert expected == outcomes
    assert dict.fromkeys(calls, "done") == {name: outcome(call) for name, call in calls.items()}


def test_a_server_that_is_gone(engine: Engine) -> None:
    """Every call fails."""
    calls = store_calls(engine)
    engine.redis.connection_pool.reset()
    engine.redis.connection_pool.connection_kwargs["port"] = NOWHERE
    assert dict.fromkeys(calls, "not now") == {name: outcome(call) for name, call in calls.items()}


def test_no_call_is_missing(engine: Engine) -> None:
    """Every public method of every store is in the list: a new method must be added there."""
    tested = {name.partition(" ")[0] for name in store_calls(engine)} | PURE
    groups = engine.mastery._asdict() | engine.learning._asdict()
    others = {"settings", "redis", "mastery", "learning", "learned_models", "signing_keys", "outages", "clock", "wording"}
    stores = {name: store for name, store in vars(engine).items() if name not in others} | groups
    public = {
        f"{store}.{name}"
        for store, made in stores.items()
        for name, _ in inspect.getmembers(made, inspect.ismethod)
        if not name.startswith("_")
    }
    assert set() == public - tested


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.lpush("text", STUDENT),
        lambda client: client.pipeline(transaction=False).lpush("text", STUDENT).execute(),
        lambda client: client.pipeline(transaction=True).lpush("text", STUDENT).execute(),
        lambda client: client.pipeline(transaction=True).set("a", STUDENT).execute_command("SET", STUDENT).execute(),
        lambda client: client.eval("return redis.call('LPUSH', KEYS[1], ARGV[1])", 1, "text", STUDENT),
    ],
    ids=["a command", "a pipeline", "a transaction", "a transaction that is discarded", "a script"],
)
def test_what_was_wrong_with_the_command(engine: Engine, ask: Callable[[redis.Redis], object]) -> None:
    """Such an error is not transient, and does not quote the command's arguments."""
    engine.redis.set("text", "x")
    with pytest.raises(redis.ResponseError) as raised:
        ask(engine.redis)
    assert transient_error(raised.value) is None
    assert STUDENT not in "".join(traceback.format_exception(raised.value))
