"""The store of handled dead letters, on every server."""

from app.bootstrap import Engine
from app.events.handled_letters import BATCH, KEPT_SECONDS, Handled, HandledLetters, Place

LOG = "cluster-1/mastery.dlq"


def store(engine: Engine) -> HandledLetters:
    return HandledLetters(engine.redis, engine.settings.key_prefix)


def test_what_was_done_is_remembered(engine: Engine) -> None:
    """The last mark of a dead letter counts."""
    marks = store(engine)
    marks.mark(LOG, [Place(0, 1), Place(3, 17)], Handled.REPLAYED)
    marks.mark(LOG, [Place(0, 1)], Handled.PURGED)
    assert store(engine).read(LOG, {}) == {Place(0, 1): Handled.PURGED, Place(3, 17): Handled.REPLAYED}


def test_logs_do_not_mix(engine: Engine) -> None:
    """The same place in another cluster, such as an embedded broker after a restart, is another dead letter."""
    store(engine).mark(LOG, [Place(0, 1)], Handled.REPLAYED)
    assert store(engine).read("cluster-2/mastery.dlq", {}) == {}


def test_marks_of_letters_that_are_gone_are_dropped(engine: Engine) -> None:
    """Marks before the oldest record of a partition are removed, even if more than one command is needed."""
    marks = store(engine)
    marks.mark(LOG, (Place(0, offset) for offset in range(2 * BATCH + 1)), Handled.REPLAYED)
    marks.mark(LOG, [Place(1, 0)], Handled.REPLAYED)
    left = {Place(0, 2 * BATCH): Handled.REPLAYED, Place(1, 0): Handled.REPLAYED}
    assert left == marks.read(LOG, {0: 2 * BATCH, 1: 0})
    assert left == marks.read(LOG, {})


def test_marks_of_a_log_that_nobody_asks_about_expire(engine: Engine) -> None:
    """An embedded broker leaves a log behind at each restart."""
    marks = store(engine)
    marks.mark(LOG, [Place(0, 1)], Handled.REPLAYED)
    (key,) = engine.redis.scan_iter(match=f"{engine.settings.key_prefix}:*")
    assert 0 < engine.redis.ttl(key) <= KEPT_SECONDS
    engine.redis.expire(key, 10)
    marks.read(LOG, {})
    assert engine.redis.ttl(key) > 10


def test_nothing_to_mark(engine: Engine) -> None:
    """This is no error, and stores nothing."""
    store(engine).mark(LOG, [], Handled.PURGED)
    assert engine.redis.keys(f"{engine.settings.key_prefix}:*") == []
