"""Only one process holds a lease, and a dead one not for long, on every server it may run on."""

from app.bootstrap import Engine
from app.lease import Lease
from tests.stack import wait_for


def lease(engine: Engine, seconds: float = 30) -> Lease:
    return Lease(engine.redis, f"{engine.settings.key_prefix}:lease", seconds)


def test_one_holds_it_until_it_gives_it_up(engine: Engine) -> None:
    """Holding it again prolongs it; another has to wait."""
    first, second = lease(engine), lease(engine)
    assert first.hold()
    assert not second.hold()
    assert first.hold()
    first.release()
    assert second.hold()
    assert not first.hold()


def test_it_runs_out(engine: Engine) -> None:
    """Its holder died, or slept too long: another takes it, and the former one is told."""
    first, second = lease(engine, 0.1), lease(engine)
    assert first.hold()
    wait_for(second.hold, 5)
    assert not first.hold()
    first.release()  # of what it does not hold
    assert second.hold()
