"""Only one process holds a lease, and a dead process not for long, on every server."""

from app.bootstrap import Engine
from app.storage.lease import Lease
from tests.stack import wait_for


def lease(engine: Engine, seconds: float = 30) -> Lease:
    return Lease(engine.redis, f"{engine.settings.key_prefix}:lease", seconds)


def test_one_holds_it_until_it_gives_it_up(engine: Engine) -> None:
    """Acquiring it again extends it; another process has to wait."""
    first, second = lease(engine), lease(engine)
    assert first.hold(1)
    assert not second.hold(1)
    assert first.hold(1)
    first.release()
    assert second.hold(1)
    assert not first.hold(1)


def test_it_runs_out(engine: Engine) -> None:
    """If its holder died or slept too long, another process gets it, and the former holder gets False."""
    first, second = lease(engine, 0.1), lease(engine)
    assert first.hold(0.1)
    wait_for(lambda: second.hold(1), 5)
    assert not first.hold(1)
    first.release()  # of a lease that it does not hold
    assert second.hold(1)


def test_holding_it_on_costs_nothing_while_it_lasts_long_enough(engine: Engine) -> None:
    """The server is only called when less time is left than needed."""
    held = lease(engine, 30)
    assert held.hold(5)
    engine.redis.delete(f"{engine.settings.key_prefix}:lease")
    assert held.hold(5)
    assert lease(engine).hold(5)
    assert not held.hold(30)


def test_prolonging_does_not_take_it_back(engine: Engine) -> None:
    """A holder that lost it gets False, even if nobody else has it."""
    held = lease(engine, 30)
    assert held.hold(5)
    assert held.prolong(30)
    engine.redis.delete(f"{engine.settings.key_prefix}:lease")
    assert not held.prolong(30)
    assert held.hold(5)
