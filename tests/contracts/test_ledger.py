"""The ledger of accepted records, on every server."""

import time

import pytest

from app.bootstrap import Engine
from app.config.quotas import Quotas
from app.events.chunk import Chunk, SourceRecord
from app.events.dead_letter import ErrorType, OutgoingDeadLetter
from app.events.event_quota import KEPT_SECONDS, EventQuota, QuotaExceeded, Use
from app.events.ledger import Accepted, Attempt, Depths, OffsetAdvance, OverQuota, PositionConflict
from app.storage.keys import Keys
from tests.conftest import NOW
from tests.dead_letters import waiting_letter
from tests.stack import wait_for

SOURCE = "cluster/group/mastery.events"
LOG = "cluster/mastery.dlq/an-id"
RECORDS = [SourceRecord(0, offset, b"{}") for offset in range(3)]
CHUNK = Chunk("mastery.events", NOW, RECORDS)


def accept(
    engine: Engine, *advances: tuple[int, OffsetAdvance], chunk: Chunk = CHUNK, letters: tuple[OutgoingDeadLetter, ...] = ()
) -> Accepted:
    return engine.ledger.accept(chunk, letters, source=SOURCE, advances=dict(advances))


def test_records_enter_with_the_position_of_their_source(engine: Engine) -> None:
    """The chunk is in flight, its dead letters wait, the position is behind them, and all are counted."""
    accepted = accept(engine, (0, OffsetAdvance(None, 4)), (1, OffsetAdvance(None, 9)), letters=(waiting_letter(),))
    assert accepted.depths == Depths(ordinary=1, bulk=0)
    assert engine.positions.of(SOURCE).offsets == {0: 4, 1: 9}
    assert engine.ledger.counts() == (4, {ErrorType.VALIDATION: 1}, 1)
    begun = engine.ledger.begin(str(accepted.chunk_id), Attempt("task", 0))
    assert begun is not None
    assert begun.chunk == CHUNK


@pytest.mark.parametrize("believed", [None, 3, 5])
def test_records_that_were_taken_are_not_taken_again(engine: Engine, believed: int | None) -> None:
    """A bridge with an outdated position gets a conflict, and nothing changes, not even for its other partitions."""
    accept(engine, (0, OffsetAdvance(None, 4)))
    with pytest.raises(PositionConflict):
        accept(engine, (1, OffsetAdvance(None, 2)), (0, OffsetAdvance(believed, 8)), letters=(waiting_letter(),))
    assert engine.positions.of(SOURCE).offsets == {0: 4}
    assert engine.ledger.counts() == (3, {}, 1)


def test_only_invalid_records_make_no_chunk(engine: Engine) -> None:
    """There is no task to send."""
    accepted = accept(engine, (0, OffsetAdvance(None, 1)), chunk=CHUNK._replace(records=[]), letters=(waiting_letter(),))
    assert accepted == Accepted(None, None, Depths(0, 0))


def test_a_read_enters_in_two_lanes_at_once(engine: Engine) -> None:
    """There is one chunk per lane and one move of the position; a chunk is known as bulk until it is finished."""
    bulk = CHUNK._replace(records=RECORDS[1:])
    accepted = engine.ledger.accept(
        CHUNK._replace(records=RECORDS[:1]), bulk=bulk, source=SOURCE, advances={0: OffsetAdvance(None, 3)}
    )
    ids = [str(accepted.chunk_id), str(accepted.bulk_id)]
    assert accepted.depths == engine.ledger.depths() == Depths(ordinary=1, bulk=1)
    assert engine.ledger.claim_overdue(0, 10) == ids[:1]
    assert engine.ledger.claim_overdue(0, 10, in_bulk=True) == ids[1:]
    assert engine.ledger.counts() == (3, {}, 2)
    begun = engine.ledger.begin(ids[1], Attempt("task", 0))
    assert begun is not None
    assert begun.chunk == bulk
    (successor,) = engine.ledger.finish(ids[1], chunks=[CHUNK])
    assert engine.ledger.depths() == Depths(ordinary=2, bulk=0)
    assert engine.ledger.claim_overdue(0, 10, ids, in_bulk=True) == []
    assert engine.ledger.claim_overdue(0, 10, ids) == [successor]


def test_a_read_may_have_a_bulk_chunk_only(engine: Engine) -> None:
    """If only one tenant sends, all of its events are above its share."""
    accepted = engine.ledger.accept(CHUNK._replace(records=[]), bulk=CHUNK)
    assert (accepted.chunk_id, accepted.depths) == (None, Depths(ordinary=0, bulk=1))


def test_a_finished_chunk_is_gone_and_cannot_be_finished_again(engine: Engine) -> None:
    """A second call changes nothing, and counts nothing."""
    chunk_id = str(accept(engine).chunk_id)
    assert engine.ledger.finish(chunk_id) == []
    assert engine.ledger.begin(chunk_id, Attempt("task", 0)) is None
    assert engine.ledger.finish(chunk_id, chunks=[CHUNK], letters=[waiting_letter()]) == []
    assert engine.ledger.counts() == (3, {}, 0)
    assert engine.ledger.claim_overdue(0, 10) == []


def test_what_could_not_be_recorded_goes_on(engine: Engine) -> None:
    """Events continue as new chunks and dead letters, in the step that ends the old chunk; no record is counted again."""
    chunk_id = str(accept(engine).chunk_id)
    apart = [CHUNK._replace(records=[record]) for record in RECORDS[:2]]
    failed = OutgoingDeadLetter(ErrorType.PROCESSING, None, b"{}", [])
    _, second = engine.ledger.finish(chunk_id, chunks=apart, letters=[failed])
    begun = engine.ledger.begin(second, Attempt("task", 0))
    assert begun is not None
    assert begun.chunk == apart[1]
    assert engine.ledger.counts() == (3, {ErrorType.PROCESSING: 1}, 2)


def test_attempts_that_died_are_counted(engine: Engine) -> None:
    """The same attempt twice means a death; a retry does not, and other tasks of the chunk do not, in any order."""
    chunk_id = str(accept(engine).chunk_id)

    def deaths(*attempts: Attempt) -> list[int]:
        begun = [engine.ledger.begin(chunk_id, attempt) for attempt in attempts]
        return [each.deaths for each in begun if each]

    assert deaths(Attempt("a", 0), Attempt("b", 0), Attempt("a", 1), Attempt("b", 1), Attempt("a", 2)) == [0] * 5
    assert deaths(Attempt("a", 2), Attempt("a", 3), Attempt("b", 1)) == [1, 1, 2]
    assert deaths(*(Attempt("c", retries) for retries in range(40))) == [2] * 40


def test_chunks_that_nobody_sees_to_are_found_once_per_period(engine: Engine) -> None:
    """The longest waiting chunks come first; an attempt counts as activity."""
    chunk_ids = []
    for _ in range(3):
        chunk_ids.append(str(accept(engine).chunk_id))
        time.sleep(0.002)  # they are ordered by milliseconds
    assert engine.ledger.claim_overdue(60, 10) == []
    found: list[str] = []
    wait_for(lambda: len(found.extend(engine.ledger.claim_overdue(0.05, 1)) or found) == 2, 5)  # type: ignore[func-returns-value]
    assert found == chunk_ids[:2]
    assert engine.ledger.claim_overdue(30, 10) == []
    time.sleep(0.002)
    engine.ledger.begin(chunk_ids[2], Attempt("task", 0))
    assert engine.ledger.claim_overdue(0, 10)[-1] == chunk_ids[2]


def test_chunks_that_are_not_meant_are_left_alone(engine: Engine) -> None:
    """They are neither returned nor count as active."""
    chunk_ids = [str(accept(engine).chunk_id) for _ in range(3)]
    time.sleep(0.002)
    assert engine.ledger.claim_overdue(0.001, 10, chunk_ids[:2]) == chunk_ids[2:]
    assert sorted(engine.ledger.claim_overdue(0.001, 10, chunk_ids[2:])) == sorted(chunk_ids[:2])


def test_letters_wait_until_they_are_struck_off(engine: Engine) -> None:
    """Oldest first, up to the last delivered one; the topic's end offsets are stored for the next relay."""
    accept(engine, letters=tuple(waiting_letter(offset) for offset in range(3)))
    waiting = engine.ledger.waiting_letters(10)
    assert [each.letter for each in waiting] == [waiting_letter(offset) for offset in range(3)]
    assert engine.ledger.waiting_letters(1) == waiting[:1]
    assert engine.ledger.letters_waiting() == 3
    engine.ledger.letters_delivered(waiting[1].entry_id, LOG, {2: 17})
    assert engine.ledger.waiting_letters(10) == waiting[2:]
    assert not engine.ledger.letters_wait(waiting[1].entry_id)
    assert engine.ledger.letters_wait(waiting[2].entry_id)
    assert engine.ledger.letters_end(LOG) == {2: 17}
    assert engine.ledger.letters_end("cluster/mastery.dlq/another-id") == {}


def test_the_last_letter_is_told(engine: Engine) -> None:
    """When it is delivered, everything accepted before it may be committed."""
    assert engine.ledger.last_letter() is None
    accept(engine, (0, OffsetAdvance(None, 4)), letters=(waiting_letter(1), waiting_letter(2)))
    assert engine.ledger.last_letter() == engine.ledger.waiting_letters(10)[-1].entry_id


MINUTE = int(NOW.timestamp()) // 60


def accept_uses(engine: Engine, *uses: Use, advance: OffsetAdvance | None = None) -> Accepted:
    return engine.ledger.accept(CHUNK, (waiting_letter(),), source=SOURCE, advances={0: advance} if advance else {}, uses=uses)


def test_events_beyond_a_quota_are_told_and_nothing_is_taken(engine: Engine) -> None:
    """The excess of each tenant and minute is returned: no position moves, nothing is counted, so the rest has room."""
    accept_uses(engine, Use("a", MINUTE, 5, 4, 0))
    with pytest.raises(OverQuota) as refused:
        accept_uses(
            engine,
            Use("a", MINUTE, 5, 3, 0),
            Use("a", MINUTE + 1, 5, 3, 0),
            Use("b", MINUTE, 2, 9, 0),
            advance=OffsetAdvance(None, 4),
        )
    assert refused.value.too_many == [2, 0, 7]
    assert engine.positions.of(SOURCE).offsets == {}
    assert engine.ledger.counts() == (4, {ErrorType.VALIDATION: 1}, 1)
    accept_uses(engine, Use("a", MINUTE, 5, 1, 0), Use("b", MINUTE, 2, 2, 0), advance=OffsetAdvance(None, 4))
    assert engine.ledger.counts().records == 8


def test_what_is_read_again_is_counted_once(engine: Engine) -> None:
    """A bridge that does not know that its records were accepted gets a conflict, and nothing is counted."""
    accept_uses(engine, Use("a", MINUTE, 5, 4, 0), advance=OffsetAdvance(None, 4))
    with pytest.raises(PositionConflict):
        accept_uses(engine, Use("a", MINUTE, 5, 4, 0), advance=OffsetAdvance(None, 4))
    accept_uses(engine, Use("a", MINUTE, 5, 1, 0), advance=OffsetAdvance(4, 8))


def test_both_doors_share_a_quota(engine: Engine) -> None:
    """Events that the API counted are not counted again when they are read; HTTP and Kafka share what is left."""
    door = EventQuota(engine.redis, engine.settings.key_prefix, Quotas("10"))
    assert door.admit("a", 4, NOW)
    accept_uses(engine, Use("a", MINUTE, 10, 3, 4))
    with pytest.raises(QuotaExceeded):
        door.admit("a", 4, NOW)
    assert door.admit("a", 3, NOW)
    with pytest.raises(OverQuota):
        accept_uses(engine, Use("a", MINUTE, 10, 1, 3))
    accept_uses(engine, Use("a", MINUTE, 10, 0, 3))


def test_a_minute_that_was_lost_is_counted_again_from_the_log(engine: Engine) -> None:
    """This includes events counted by the API, which the topic marks."""
    key = Keys(engine.settings.key_prefix).event_minute(MINUTE)
    accept_uses(engine, Use("a", MINUTE, 10, 3, 4))
    with pytest.raises(OverQuota) as refused:
        accept_uses(engine, Use("a", MINUTE, 10, 9, 0))
    assert refused.value.too_many == [6]
    assert KEPT_SECONDS - 60 < int(str(engine.redis.ttl(key))) <= KEPT_SECONDS


def test_what_was_promised_is_taken_however_much_it_is(engine: Engine) -> None:
    """Events that the API counted are never beyond a quota, even if the quota was lowered since."""
    accept_uses(engine, Use("a", MINUTE, 2, 0, 4))
    with pytest.raises(OverQuota) as refused:
        accept_uses(engine, Use("a", MINUTE, 2, 3, 0))
    assert refused.value.too_many == [3]
