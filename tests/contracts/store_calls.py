"""Every call of every store: how it uses Redis, and a function that makes it any number of times."""

from app.batches.batch import CHUNK_STUDENTS, BatchKey, BatchOrder, BatchStatus, Item, Rejection, Summarized
from app.batches.batch_kinds import Row
from app.bootstrap import Engine
from app.clock import day_number
from app.config.quotas import Quotas
from app.events.bridge_heartbeats import BridgeState, Heartbeat
from app.events.chunk import Chunk, SourceRecord
from app.events.event_quota import EventQuota
from app.events.handled_letters import Handled, HandledLetters, Place
from app.events.ledger import Attempt
from app.events.letter_keys import StudentEvent
from app.events.losses import Loss
from app.events.positions import NO_ID, Beginning, Start
from app.events.sealed_payload import StudentKeyName
from app.health.readiness import ping_redis
from app.health.removal_counts import Removed
from app.idempotency.idempotency_keys import Answer, Claim
from app.mastery.evidence import QUIZ
from app.mastery.formula import DEFAULT_WEIGHTS
from app.mastery.rankings import Metric
from app.mastery.score_store import Score
from app.security.rate_limits import RateLimit, SharedWindows
from app.security.task_requests import TaskRequest
from app.storage.lease import Lease
from tests.conftest import NOW
from tests.contracts.analytics_store_calls import analytics_calls
from tests.contracts.callback_store_calls import callback_calls
from tests.contracts.consent_store_calls import consent_calls
from tests.contracts.prediction_store_calls import model_calls, prediction_calls
from tests.contracts.privacy_store_calls import audit_calls, export_calls, privacy_calls
from tests.contracts.store_call import GROWS, READS, STUDENT, WRITES, Call
from tests.dead_letters import waiting_letter

SOURCE, LOG = "cluster/group/mastery.events", "cluster/mastery.dlq"
TODAY = day_number(NOW)
RECORD = SourceRecord(0, 0, b'{"student_id": "s-secret"}')
CHUNK = Chunk("mastery.events", NOW, [RECORD])


def store_calls(engine: Engine) -> dict[str, Call]:
    """All calls, each named ``store.method``. Creates what they need."""
    return {
        **_tasks(engine),
        **_events(engine),
        **_mastery(engine),
        **_expired(engine),
        **_batches(engine),
        **_changes_of_batches(engine),
        **callback_calls(engine),
        **audit_calls(engine),
        **privacy_calls(engine),
        **export_calls(engine),
        **_requests(engine),
        **consent_calls(engine),
        **prediction_calls(engine),
        **model_calls(engine),
        **analytics_calls(engine),
        **_leases(engine),
        "ping_redis": Call(GROWS, lambda: ping_redis(engine.redis, engine.settings.key_prefix)),
    }


def _events(engine: Engine) -> dict[str, Call]:
    ledger, bridges, positions, losses = engine.ledger, engine.bridges, engine.positions, engine.losses
    topic = "another", NO_ID, Beginning.FIRST
    letters = HandledLetters(engine.redis, engine.settings.key_prefix)
    keys, name = engine.letter_keys, StudentKeyName("t", engine.audit.pseudonym("t", STUDENT))
    keys.issue([StudentEvent("t", STUDENT, NOW)])
    chunks = [ledger.accept(CHUNK, [waiting_letter()], source=SOURCE).chunk_id or "" for _ in range(100)]
    return {
        "ledger.accept": Call(GROWS, lambda: ledger.accept(CHUNK, [waiting_letter()], source=SOURCE)),
        "ledger.begin": Call(GROWS, lambda: ledger.begin(chunks[0], Attempt("task", 0))),
        "ledger.finish": Call(WRITES, lambda: ledger.finish(chunks.pop(), chunks=[CHUNK], letters=[waiting_letter()])),
        "ledger.claim_overdue": Call(GROWS, lambda: ledger.claim_overdue(0, 1)),
        "ledger.holds": Call(READS, lambda: ledger.holds("t", STUDENT, NOW)),
        "ledger.is_in_flight": Call(READS, lambda: ledger.is_in_flight(chunks[0])),
        "ledger.in_flight": Call(READS, ledger.in_flight),
        "ledger.depths": Call(READS, ledger.depths),
        "ledger.counts": Call(READS, ledger.counts),
        "positions.of": Call(READS, lambda: positions.of(SOURCE)),
        "positions.begin": Call(GROWS, lambda: positions.begin(*topic, [Start(0, None, 0)], previous=NO_ID, is_loss=False)),
        "positions.admit": Call(GROWS, lambda: positions.admit("another", {0: 1})),
        "losses.known": Call(READS, losses.known),
        "losses.acknowledge": Call(GROWS, lambda: losses.acknowledge(Loss())),
        "ledger.last_letter": Call(READS, ledger.last_letter),
        "ledger.letters_wait": Call(READS, lambda: ledger.letters_wait("1-0")),
        "ledger.letters_waiting": Call(READS, ledger.letters_waiting),
        "ledger.waiting_letters": Call(READS, lambda: ledger.waiting_letters(2)),
        "ledger.letters_delivered": Call(GROWS, lambda: ledger.letters_delivered("1-0", LOG, {0: 1})),
        "ledger.letters_end": Call(READS, lambda: ledger.letters_end(LOG)),
        "letter_keys.drop": Call(WRITES, lambda: keys.drop("t")),
        "letter_keys.forget": Call(WRITES, lambda: keys.forget("t", [name.student])),
        "letter_keys.erase": Call(WRITES, lambda: keys.erase("t", [STUDENT])),
        "letter_keys.issue": Call(GROWS, lambda: keys.issue([StudentEvent("t", STUDENT, NOW), NOW.date()])),
        "letter_keys.find": Call(READS, lambda: keys.find([name])),
        "bridges.report": Call(GROWS, lambda: bridges.report("b", Heartbeat(BridgeState.RUNNING, 0, 0))),
        "bridges.leave": Call(WRITES, lambda: bridges.leave("c")),
        "bridges.heartbeats": Call(READS, bridges.heartbeats),
        "bridges.require_not_halted": Call(READS, bridges.require_not_halted),
        "handled_letters.read": Call(WRITES, lambda: letters.read(LOG, {})),
        "handled_letters.mark": Call(GROWS, lambda: letters.mark(LOG, [Place(0, 1)], Handled.PURGED)),
    }


def _tasks(engine: Engine) -> dict[str, Call]:
    messages, sweeps = engine.malformed_messages, engine.sweeps
    return {
        "malformed_messages.set_aside": Call(GROWS, lambda: messages.set_aside("events", STUDENT.encode(), "no JSON")),
        "malformed_messages.counts": Call(READS, messages.counts),
        "malformed_messages.kept": Call(READS, messages.kept),
        "malformed_messages.expire": Call(READS, lambda: messages.expire(NOW)),
        "malformed_messages.erase": Call(READS, lambda: messages.erase("t", ["s-other"])),
        "removal_counts.add": Call(GROWS, lambda: engine.removal_counts.add(Removed.BATCHES, 1)),
        "removal_counts.read": Call(READS, engine.removal_counts.read),
        "sweeps.note": Call(GROWS, sweeps.note),
        "sweeps.go_on": Call(READS, sweeps.go_on),
    }


def _mastery(engine: Engine) -> dict[str, Call]:
    (facts, scores, *_), totals, outbox = engine.mastery, engine.event_totals, engine.outbox
    numbers, revisions = iter(range(1_000)), iter(range(1, 1_000))
    quota = EventQuota(engine.redis, engine.settings.key_prefix, Quotas("1000"))

    def merge(chunk_id: str | None = None, student: str = STUDENT) -> object:
        number = next(numbers)
        observation = number.to_bytes(8), TODAY, QUIZ, 8, 10, number, number.to_bytes(16), "c-1"
        return facts.merge("t", {student: [observation]}, TODAY, chunk_id=chunk_id)

    merge()
    merge(student="s-counted")
    scores.put("t", [Score("s-counted", 1, TODAY, 0.5)], NOW)  # stays in the statistics
    totals.begin_chunk(["t"], "chunk")

    def put() -> object:
        return scores.put("t", [Score(STUDENT, next(revisions), TODAY, 0.5)], NOW)

    for _ in range(20):
        merge()  # so that there are revisions to score
    put()
    return {
        "facts.merge": Call(GROWS, merge),
        "facts.merge of a chunk": Call(GROWS, lambda: merge("chunk")),
        "event_quota.admit": Call(WRITES, lambda: quota.admit("t", 1, NOW)),
        "facts.erase": Call(WRITES, lambda: facts.erase("t", {f"s-{next(numbers)}": 1})),
        "facts.refuse": Call(GROWS, lambda: facts.refuse("t-2", 1)),
        "facts.remember": Call(GROWS, lambda: facts.remember("t", {f"{next(numbers):024x}": 1})),
        **_reads_of_mastery(engine),
        "event_totals.begin_chunk": Call(GROWS, lambda: totals.begin_chunk(["t"], "another")),
        "event_totals.end_chunk": Call(WRITES, lambda: totals.end_chunk(["t"], "another")),
        "scores.put": Call(GROWS, put),
        "scores.postpone": Call(GROWS, lambda: scores.postpone("t", [STUDENT], TODAY)),
        "event_totals.of": Call(READS, lambda: totals.of("t")),
        "outbox.entries": Call(READS, lambda: outbox.entries(["t"])),
        "outbox.read": Call(READS, lambda: outbox.read(["t"], 1)),
        "outbox.announce_erased": Call(GROWS, lambda: outbox.announce_erased("t", [STUDENT], NOW)),
        "outbox.erase": Call(GROWS, lambda: outbox.erase("t", ["s-2"])),  # which moves the changes of the others
        "outbox.acknowledge": Call(WRITES, lambda: outbox.acknowledge("t", "1-0")),
    }


def _expired(engine: Engine) -> dict[str, Call]:
    facts, expired, students = engine.mastery.facts, engine.mastery.expired, [f"empty-{number}" for number in range(20)]
    for student in students:
        engine.redis.hset(facts.record_key("t", student), "window", "damaged")
    engine.mastery.scores.postpone("t", students, TODAY)
    return {
        "expired.remove": Call(WRITES, lambda: expired.remove("t", [students.pop()], TODAY)),
    }


def _reads_of_mastery(engine: Engine) -> dict[str, Call]:
    facts, scores, tenants, _expired, rankings = engine.mastery
    return {
        "facts.lost_erasures": Call(READS, lambda: facts.lost_erasures("t", {"a" * 24: 1})),
        "facts.admit_again": Call(READS, lambda: list(facts.admit_again("t", 0))),
        "facts.beyond_quota": Call(READS, lambda: facts.beyond_quota("t", [STUDENT])),
        "facts.read": Call(READS, lambda: facts.read("t", STUDENT, TODAY)),
        "facts.fields": Call(READS, lambda: facts.fields("t", STUDENT)),
        "facts.read_many": Call(READS, lambda: facts.read_many("t", [STUDENT, "s-2"], TODAY, TODAY)),
        "facts.cohorts_of": Call(READS, lambda: facts.cohorts_of("t", [STUDENT, "s-2"])),
        "facts.require_student": Call(READS, lambda: facts.require_student("t", STUDENT)),
        "facts.cohort_of": Call(READS, lambda: facts.cohort_of("t", STUDENT)),
        "scores.stale_students": Call(READS, lambda: scores.stale_students("t", TODAY, 1)),
        "tenants.all": Call(READS, tenants.all),
        "scores.cohorts": Call(READS, lambda: scores.cohorts("t")),
        "scores.students": Call(READS, lambda: list(scores.students("t"))),
        "scores.members": Call(READS, lambda: scores.members("t", "c-1")),
        "scores.ranking": Call(READS, lambda: scores.ranking("t", "c-1")),
        "rankings.read": Call(READS, lambda: rankings.read("t", "c-1", list(Metric), STUDENT)),
        "rankings.summaries": Call(READS, lambda: rankings.summaries("t", ["c-1", "c-2"])),
        "rankings.values": Call(READS, lambda: rankings.values("t", "c-1", Metric.MASTERY)),
        "rankings.counts": Call(READS, lambda: rankings.counts("t", ["c-1"], Metric.MASTERY, [400_000])),
        "rankings.note_refresh": Call(WRITES, lambda: rankings.note_refresh("t-none", TODAY)),
        "rankings.day": Call(READS, lambda: rankings.day("t")),
    }


def _batches(engine: Engine) -> dict[str, Call]:
    batches, numbers, chunks = engine.batches, iter(range(1_000)), iter(range(1, 30))
    order = BatchOrder(day=TODAY, weights=DEFAULT_WEIGHTS, owner=f"teacher:{STUDENT}")
    kept, ended, unresolved, absent = (BatchKey("t", name) for name in ("kept", "ended", "unresolved", "absent"))

    def create() -> BatchKey:
        key = BatchKey("t", f"batch-{next(numbers)}")
        batches.create(key, order, b"print", NOW, items=[Item(STUDENT)])
        return key

    batches.create(
        kept, order, b"print", NOW, rejected=[Rejection(0, "no")], items=[Item(f"s-{i}") for i in range(30 * CHUNK_STUDENTS)]
    )
    batches.take(kept, "task")
    batches.store(kept, "task", 0, [Row(STUDENT, "no")])
    batches.create(ended, order, b"print", NOW, items=[Item(STUDENT)])
    batches.end(ended, BatchStatus.CANCELLED)
    batches.create(unresolved, order, b"print", NOW)
    to_end, to_delete = ([create() for _ in range(20)] for _ in range(2))
    return {
        "batches.create": Call(GROWS, create),
        "batches.resolve": Call(GROWS, lambda: batches.resolve(unresolved, [STUDENT], 0)),
        "batches.erasures": Call(READS, lambda: batches.erasures("t")),
        "batches.take": Call(GROWS, lambda: batches.take(kept, "another")),
        "batches.store": Call(WRITES, lambda: batches.store(kept, "another", next(chunks), [Row(STUDENT)])),
        "batches.end": Call(WRITES, lambda: batches.end(to_end.pop(), BatchStatus.CANCELLED)),
        "batches.exists": Call(READS, lambda: batches.exists(kept, b"print")),
        "batches.rejected": Call(READS, lambda: batches.rejected(kept)),
        "batches.touch": Call(WRITES, lambda: batches.touch(kept)),
        "batches.forget": Call(WRITES, lambda: batches.forget(absent)),
        "batches.running": Call(READS, batches.running),
        "batches.claim_overdue": Call(GROWS, lambda: batches.claim_overdue(0, 1)),
        "batches.stored_before": Call(READS, lambda: batches.stored_before(NOW, 1)),
        "batches.keep": Call(WRITES, lambda: batches.keep(kept, NOW)),
        "batches.delete": Call(WRITES, lambda: batches.delete(to_delete.pop(), NOW)),
        "batches.read": Call(READS, lambda: batches.read(kept)),
        "batches.of_owner": Call(READS, lambda: batches.of_owner("t", order.owner, before=None, limit=2)),
        "batches.rows": Call(READS, lambda: batches.rows(kept, [0, 1])),
    }


def _changes_of_batches(engine: Engine) -> dict[str, Call]:
    """Of those that ``_batches`` has stored."""
    erasure, summarized = engine.batch_erasure, Summarized(None, "1", 0)
    return {
        "batch_erasure.erase": Call(GROWS, lambda: erasure.erase("t", ["s-29"])),
        "batches.store_summary": Call(WRITES, lambda: engine.batches.store_summary(BatchKey("t", "ended"), summarized)),
    }


def _requests(engine: Engine) -> dict[str, Call]:
    keys, asked, revocations = engine.idempotency_keys, engine.task_requests, engine.revocations
    windows, limit = SharedWindows(engine.redis, engine.settings.key_prefix), RateLimit(1_000, "minute")

    def claim(key: str) -> Claim:
        made = keys.claim("t", f"student:{STUDENT}", key, b"print")
        assert isinstance(made, Claim)
        return made

    kept, freed = claim("kept"), claim("freed")
    asked.remember("t", "task", TaskRequest(f"student:{STUDENT}", [STUDENT]), 60)
    windows.count("t", "somebody", limit)
    return {
        "idempotency_keys.claim": Call(GROWS, lambda: keys.claim("t", f"student:{STUDENT}", "new", b"print")),
        "idempotency_keys.keep": Call(GROWS, lambda: keys.keep(kept, Answer(200, b"{}"))),
        "idempotency_keys.release": Call(WRITES, lambda: keys.release(freed)),
        "task_requests.remember": Call(
            GROWS, lambda: asked.remember("t", "task", TaskRequest(f"student:{STUDENT}", [STUDENT]), 60)
        ),
        "task_requests.of": Call(READS, lambda: asked.of("t", "task")),
        "task_requests.about": Call(READS, lambda: asked.about("t", STUDENT)),
        "task_requests.is_known": Call(READS, lambda: asked.is_known("t", "task")),
        "task_requests.forget": Call(WRITES, lambda: asked.forget("t", STUDENT, "another")),
        "revocations.revoke_token": Call(GROWS, lambda: revocations.revoke_token("t", "jti", 60)),
        "revocations.revoke_subject": Call(GROWS, lambda: revocations.revoke_subject("t", STUDENT, NOW.timestamp(), 60)),
        "revocations.is_revoked": Call(READS, lambda: revocations.is_revoked("t", STUDENT, "jti", None)),
        "rate_limits.count": Call(WRITES, lambda: windows.count("t", f"student:{STUDENT}", limit)),
        "rate_limits.take_back": Call(WRITES, lambda: windows.take_back("t", "somebody")),
    }


def _leases(engine: Engine) -> dict[str, Call]:
    def lease(name: str) -> Lease:
        return Lease(engine.redis, f"{engine.settings.key_prefix}:{name}", 60)

    held, given_up = lease("held"), lease("given-up")
    assert held.hold(1)
    assert given_up.hold(1)
    return {
        "lease.hold": Call(GROWS, lambda: lease("new").hold(1)),
        "lease.prolong": Call(WRITES, lambda: held.prolong(100)),
        "lease.release": Call(WRITES, given_up.release),
    }
