"""Only one process holds a lease, and a dead one not for long, on every server it may run on."""

from app.bootstrap import Engine
from app.storage.lease import Lease
from tests.stack import wait_for


def lease(engine: Engine, seconds: float = 30) -> Lease:
    return Lease(engine.redis, f"{engine.settings.key_prefix}:lease", seconds)


def test_one_holds_it_until_it_gives_it_up(engine: Engine) -> None:
    """Holding it again prolongs it; another has to wait."""
    first, second = lease(engine), lease(engine)
    assert first.hold(1)
    assert not second.hold(1)
    assert first.hold(1)
    first.release()
    assert second.hold(1)
    assert not first.hold(1)


def test_it_runs_out(engine: Engine) -> None:
    """Its holder died, or slept too long: another takes it, and the former one is told."""
    first, second = lease(engine, 0.1), lease(engine)
    assert first.hold(0.1)
    wait_for(lambda: second.hold(1), 5)
    assert not first.hold(1)
    first.release()  # of what it does not hold
    assert second.hold(1)


def test_holding_it_on_costs_nothing_while_it_lasts_long_enough(engine: Engine) -> None:
    """The server is asked again only when less is left than is needed."""
    held = lease(engine, 30)
    assert held.hold(5)
    engine.redis.delete(f"{engine.settings.key_prefix}:lease")
    assert held.hold(5)
    assert lease(engine).hold(5)
    assert not held.hold(30)


def test_prolonging_does_not_take_it_back(engine: Engine) -> None:
    """Who lost it meanwhile is told, even when nobody else has it."""
    held = lease(engine, 30)
    assert held.hold(5)
    assert held.prolong(30)
    engine.redis.delete(f"{engine.settings.key_prefix}:lease")
    assert not held.prolong(30)
    assert held.hold(5)
