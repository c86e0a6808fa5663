"""What is stored about topics and losses, on every server."""

from app.bootstrap import Engine
from app.events.chunk import Chunk, SourceRecord
from app.events.handled_letters import Handled, HandledLetters, Place
from app.events.ledger import Accepted, OffsetAdvance, PositionConflict
from app.events.positions import NO_ID, Beginning, Progress, Start
from tests.conftest import NOW

SOURCE = "cluster/group/mastery.events"
CHUNK = Chunk("mastery.events", NOW, [SourceRecord(0, 0, b"{}")])


def begin(
    engine: Engine, topic_id: str, *starts: Start, begun: Beginning = Beginning.FIRST, previous: str = "", is_loss: bool = False
) -> bool:
    return engine.positions.begin(SOURCE, topic_id, begun, starts, previous=previous, is_loss=is_loss)


def accept(engine: Engine, topic_id: str, advance: OffsetAdvance) -> Accepted | None:
    try:
        return engine.ledger.accept(CHUNK, source=SOURCE, topic_id=topic_id, advances={0: advance})
    except PositionConflict:
        return None


def test_nothing_is_known_at_first(engine: Engine) -> None:
    """There is neither a topic nor a loss."""
    assert engine.positions.of(SOURCE) == Progress()
    assert not engine.positions.of(SOURCE).is_known
    assert engine.losses.known().is_acknowledged


def test_a_topic_is_begun_with_its_id_and_where_its_partitions_are_read_from(engine: Engine) -> None:
    """From then on, calls with another id for this name are rejected."""
    assert begin(engine, "a", Start(0, None, 7), Start(1, None, 0))
    assert engine.positions.of(SOURCE) == Progress("a", Beginning.FIRST, {0: 7, 1: 0}, {})
    assert accept(engine, "b", OffsetAdvance(7, 8)) is None
    assert accept(engine, NO_ID, OffsetAdvance(7, 8)) is None
    assert accept(engine, "a", OffsetAdvance(7, 8)) is not None
    assert engine.positions.of(SOURCE).offsets == {0: 8, 1: 0}


def test_whoever_found_another_topic_noted_is_told_to_look_again(engine: Engine) -> None:
    """Two bridges notice it at the same time; the second has outdated information."""
    begin(engine, "a", Start(0, None, 7))
    assert begin(engine, "b", Start(0, None, 0), begun=Beginning.ANEW, previous="a")
    assert not begin(engine, "b", Start(0, None, 0), begun=Beginning.ANEW, previous="a")
    assert not begin(engine, "a", Start(0, None, 7))
    assert engine.positions.of(SOURCE) == Progress("b", Beginning.ANEW, {0: 0}, {})


def test_of_a_topic_that_was_made_anew_nothing_former_stays(engine: Engine) -> None:
    """No position of a partition is left, and no mark of an operator."""
    begin(engine, "a", Start(0, None, 7), Start(3, None, 7))
    engine.positions.admit(SOURCE, {0: 100})
    begin(engine, "b", Start(0, None, 0), begun=Beginning.ANEW, previous="a")
    assert engine.positions.of(SOURCE) == Progress("b", Beginning.ANEW, {0: 0}, {})


def test_a_position_that_moved_meanwhile_is_left(engine: Engine) -> None:
    """Another bridge had the partition and continued; what it accepted is not lost."""
    begin(engine, "a", Start(0, None, 7))
    accept(engine, "a", OffsetAdvance(7, 8))
    assert begin(engine, "a", Start(0, 7, 20, lost=13), previous="a")
    assert engine.positions.of(SOURCE).offsets == {0: 8}
    assert engine.losses.known().records == 0


def test_what_the_version_before_noted_is_taken_over(engine: Engine) -> None:
    """The previous version had no ids: the positions are kept."""
    accept(engine, NO_ID, OffsetAdvance(None, 5))
    assert engine.positions.of(SOURCE).is_known
    assert engine.positions.of(SOURCE).is_of("a")
    assert begin(engine, "a")
    assert engine.positions.of(SOURCE) == Progress("a", Beginning.FIRST, {0: 5}, {})


def test_an_operator_s_word_is_kept_with_the_positions(engine: Engine) -> None:
    """It does not register an unknown topic."""
    engine.positions.admit(SOURCE, {0: 100, 2: 3})
    engine.positions.admit(SOURCE, {})
    assert engine.positions.of(SOURCE).admitted == {0: 100, 2: 3}
    assert not engine.positions.of(SOURCE).is_known


def test_losses_add_up_until_they_are_acknowledged(engine: Engine) -> None:
    """Later losses are counted from zero; that the state was lost stays recorded."""
    begin(engine, "a", Start(0, None, 7, lost=7), Start(1, None, 2, lost=2), begun=Beginning.LOST, is_loss=True)
    begin(engine, "a", Start(2, None, 1, lost=1), previous="a")
    loss = engine.losses.known()
    assert (loss.records, loss.is_acknowledged) == (10, False)
    assert str(loss).startswith("Redis lost its state (20")
    assert "up to 10 events that Kafka has no longer" in str(loss)
    engine.losses.acknowledge(loss)
    assert engine.losses.known() == loss._replace(records=0, is_acknowledged=True)
    begin(engine, "a", Start(3, None, 4, lost=4), previous="a")
    assert (engine.losses.known().records, engine.losses.known().is_acknowledged) == (4, False)


def test_marks_and_ends_of_the_version_before_are_taken_over_once(engine: Engine) -> None:
    """Data on dead letters was stored by topic name or without one; only the first topic that asks gets it."""
    marks = HandledLetters(engine.redis, engine.settings.key_prefix)
    marks.mark("cluster/mastery.dlq", [Place(0, 1)], Handled.REPLAYED)
    engine.redis.hset(f"{engine.settings.key_prefix}:{{.events}}:letters-delivered", "2", 17)
    for _ in range(2):
        marks.adopt("cluster/mastery.dlq", "cluster/mastery.dlq/a")
        assert marks.read("cluster/mastery.dlq/a", {}) == {Place(0, 1): Handled.REPLAYED}
        assert engine.ledger.letters_end("cluster/mastery.dlq/a") == {2: 17}
    marks.adopt("cluster/mastery.dlq", "cluster/mastery.dlq/b")
    assert marks.read("cluster/mastery.dlq/b", {}) == {}
    assert engine.ledger.letters_end("cluster/mastery.dlq/b") == {}
