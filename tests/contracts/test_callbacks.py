"""Which callbacks are due, and who attempts them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.batches.batch import BatchKey, BatchOrder, BatchStatus, CallbackState, Item
from app.batches.callback_store import CallbackClaim
from app.bootstrap import Engine
from app.mastery.formula import DEFAULT_WEIGHTS
from tests.batch_tasks import run_task
from tests.conftest import NOW
from tests.contracts.conftest import TODAY
from tests.stack import wait_for

URL = "https://lms.example/ended"
LONG, SHORT = 60.0, 0.05  # seconds of a lease
SECONDS = 5.0


def create(engine: Engine, name: str, url: str = URL) -> BatchKey:
    key = BatchKey.parse(name)
    order = BatchOrder(day=TODAY, weights=DEFAULT_WEIGHTS, owner="admin:a", callback_url=url)
    assert engine.batches.create(key, order, b"print", NOW, items=[Item("s-1")])
    return key


def ended(engine: Engine, name: str, url: str = URL) -> BatchKey:
    key = create(engine, name, url)
    assert engine.batches.end(key, BatchStatus.CANCELLED)
    return key


def claimed(engine: Engine, lease: float = LONG) -> list[CallbackClaim]:
    """All callbacks that can be claimed now."""
    found = []
    while claim := engine.callbacks.claim(lease):
        found.append(claim)
    return found


def milliseconds(engine: Engine) -> int:
    """The server's clock."""
    seconds, microseconds = engine.redis.time()
    return seconds * 1000 + microseconds // 1000


def wait_for_claim(engine: Engine) -> CallbackClaim:
    """The next callback that is due."""
    found: list[CallbackClaim | None] = [None]

    def is_found() -> bool:
        found[0] = engine.callbacks.claim(LONG)
        return found[0] is not None

    wait_for(is_found, SECONDS)
    assert found[0] is not None
    return found[0]


def names(claims: list[CallbackClaim]) -> list[str]:
    return [str(claim.key) for claim in claims]


def test_it_is_due_when_the_batch_has_ended(engine: Engine) -> None:
    """Not before, and not without a URL."""
    key = create(engine, "t/b")
    assert ended(engine, "u/b", url="")
    assert claimed(engine) == []
    engine.batches.end(key, BatchStatus.CANCELLED)
    assert names(claimed(engine)) == ["t/b"]


def test_the_state_of_a_batch_says_how_it_stands(engine: Engine) -> None:
    """Pending with a URL, from the beginning; then the outcome; null without a URL."""
    key, other = create(engine, "t/b"), create(engine, "t/c", url="")
    assert (engine.batches.read(key).callback, engine.batches.read(other).callback) == (CallbackState.PENDING, None)
    assert [engine.callbacks.note(key), engine.callbacks.note(key, CallbackState.DELIVERED)] == [1, 2]
    assert engine.batches.read(key).callback is CallbackState.DELIVERED


def test_a_removed_batch_stays_removed(engine: Engine) -> None:
    """An attempt that ends after the batch was removed leaves nothing behind."""
    key = ended(engine, "t/b")
    engine.batches.delete(key, NOW)
    assert engine.callbacks.note(key, CallbackState.DELIVERED) == 0
    assert not engine.redis.exists(f"{engine.settings.key_prefix}:{{t}}:batch:b")


def test_a_process_that_dies_while_it_ends_the_batch(engine: Engine) -> None:
    """The batch has ended, and nothing was noted: the sweep finds it among the running ones, and its task makes up for it."""
    key = ended(engine, "t/b")
    engine.redis.delete(f"{engine.settings.key_prefix}:{{.batches}}:callbacks")
    engine.batches.touch(key)  # as before the last step of its end
    assert engine.batches.claim_overdue(0, 1) == ["t/b"]
    run_task(engine, key)
    assert (names(claimed(engine)), engine.batches.running()) == (["t/b"], 0)


def test_an_end_that_is_noted_again(engine: Engine) -> None:
    """It neither ends a claim or a wait, nor repeats what was delivered."""
    key = ended(engine, "t/b")
    (claim,) = claimed(engine)
    engine.batches.forget(key)
    assert claimed(engine) == []
    engine.callbacks.release(claim, LONG)
    engine.batches.forget(key)
    assert claimed(engine) == []
    engine.callbacks.note(key, CallbackState.DELIVERED)
    engine.redis.delete(f"{engine.settings.key_prefix}:{{.batches}}:callbacks")
    engine.batches.forget(key)
    assert claimed(engine) == []


def test_only_one_process_gets_it(engine: Engine) -> None:
    """However many ask at once."""
    for number in range(20):
        ended(engine, f"t-{number}/b")
    with ThreadPoolExecutor(8) as pool:
        found = [claim for claims in pool.map(lambda _: claimed(engine), range(8)) for claim in claims]
    assert sorted(names(found)) == sorted(f"t-{number}/b" for number in range(20))


def test_a_process_that_dies_while_it_sends(engine: Engine) -> None:
    """Another one gets the callback when the lease has ended; what the first one says then has no effect."""
    ended(engine, "t/b")
    (first,) = claimed(engine, SHORT)
    second = wait_for_claim(engine)
    for wait in (0.0, None):
        engine.callbacks.release(first, wait)
        assert engine.redis.zscore(f"{engine.settings.key_prefix}:{{.batches}}:callbacks", "t/b") == second.until
    ended(engine, "t/c")
    assert claimed(engine) == []  # the tenant's turn is the second one's too
    engine.callbacks.release(second)
    assert names(claimed(engine)) == ["t/c"]


@pytest.mark.parametrize("wait", [None, 0.0])
def test_it_is_attempted_again_after_its_wait(engine: Engine, wait: float | None) -> None:
    """Or never, if it is done."""
    ended(engine, "t/b")
    (claim,) = claimed(engine)
    engine.callbacks.release(claim, wait)
    assert names(claimed(engine)) == ([] if wait is None else ["t/b"])


def test_a_tenant_sends_one_at_a_time(engine: Engine) -> None:
    """A thousand callbacks of a tenant, due for longer, do not delay another tenant's."""
    for number in range(1_001):
        ended(engine, f"many/b-{number}")
    ended(engine, "few/b")
    first, second = claimed(engine)
    assert {first.key.tenant, second.key.tenant} == {"many", "few"}
    engine.callbacks.release(first)
    assert [claim.key.tenant for claim in claimed(engine)] == ["many"]


def test_the_longest_due_is_first(engine: Engine) -> None:
    """Whatever its name."""
    ended(engine, "z/b")
    begin = milliseconds(engine)
    wait_for(lambda: milliseconds(engine) > begin, SECONDS)
    ended(engine, "a/b")
    assert names(claimed(engine)) == ["z/b", "a/b"]
