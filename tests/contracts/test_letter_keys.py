"""The keys of dead letters, and the dead letters sealed with them, on every server."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from app.bootstrap import Engine, bootstrap
from app.events.dead_letter import DeadLetter, OutgoingDeadLetter
from app.events.letter_keys import KEYS_PER_CALL, LetterKeys, StudentEvent
from app.events.seal_letters import seal_letters
from app.events.sealed_payload import Lock, Original, StudentKeyName, unseal
from app.storage.keys import Keys
from tests.contracts.conftest import keys
from tests.dead_letters import FAILED_AT, failed_record
from tests.learning_events import quiz

DAY = date(2026, 10, 28)
ERASED_AT = datetime(2026, 10, 27, 12, tzinfo=UTC)
BEFORE, AFTER = ERASED_AT - timedelta(microseconds=1), ERASED_AT + timedelta(microseconds=1)


def event(student: str = "s-1", moment: datetime | None = BEFORE, tenant: str = "t-1") -> StudentEvent:
    return StudentEvent(tenant, student, moment)


def forget(engine: Engine, field: str, at: datetime = ERASED_AT, tenant: str = "t-1") -> None:
    """Remember an erasure, as erase_students.lua does."""
    moment = round(at.timestamp() * 1_000_000)
    engine.redis.hset(Keys(engine.settings.key_prefix).erased(tenant), field, f"{moment} 17")


def sealed(engine: Engine, value: bytes | None, **of: Any) -> OutgoingDeadLetter:
    (letter,) = seal_letters([failed_record(value, **of)], engine.letter_keys)
    return letter


def opened(engine: Engine, letter: OutgoingDeadLetter) -> Original | Lock:
    payload = msgspec.json.decode(letter.value, type=DeadLetter).original_payload
    (key,) = engine.letter_keys.find([payload.key.name])
    return unseal(payload, key)


class TestKeys:
    """``LetterKeys``."""

    def test_a_student_has_one_key(self, engine: Engine) -> None:
        """The next dead letter gets the same one; other students and the same id in another tenant have others."""
        first, second, third = engine.letter_keys.issue([event(), event("s-2"), event(tenant="t-2")])
        assert engine.letter_keys.issue([event(), event()]) == [first, first]
        assert len({first.key, second.key, third.key}) == 3
        assert first.name == StudentKeyName("t-1", engine.audit.pseudonym("t-1", "s-1"))
        assert engine.letter_keys.find([first.name, None, second.name]) == [first.key, None, second.key]

    def test_no_key_in_redis_names_a_student(self, engine: Engine) -> None:
        """The pseudonym does."""
        engine.letter_keys.issue([event("unmistakable"), DAY])
        pseudonym = engine.audit.pseudonym("t-1", "unmistakable")
        assert keys(engine) == {f"{{t-1}}:letter-key:{pseudonym}", "{.events}:letter-day-key:2026-10-28"}

    def test_a_day_has_one_key(self, engine: Engine) -> None:
        """For all records in which no student can be read."""
        one, two, other = engine.letter_keys.issue([DAY, DAY, DAY + timedelta(days=1)])
        assert one == two
        assert one.key != other.key

    def test_keys_expire_after_the_retention(self, engine: Engine) -> None:
        """Each use begins it anew."""
        retention = engine.settings.retention_days * 86_400
        for _ in range(2):
            engine.letter_keys.issue([event(), DAY])
            for key in engine.redis.scan_iter(f"{engine.settings.key_prefix}:*letter-*key:*"):
                assert retention - 10 < engine.redis.ttl(key) <= retention
                engine.redis.expire(key, 10)

    def test_many_take_one_round_trip(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """A bridge may dead-letter 500 records at once, of any tenants."""
        engine.letter_keys.issue([event()])  # loads the script
        trips: list[bool] = []
        pipeline = engine.redis.pipeline

        def counted(transaction: bool) -> Any:
            trips.append(transaction)
            return pipeline(transaction)

        monkeypatch.setattr(engine.redis, "pipeline", counted)
        owners = [event(f"s-{number % 150}", tenant=f"t-{number % 3}") for number in range(5 * KEYS_PER_CALL)]
        issued = engine.letter_keys.issue([*owners, DAY])
        assert len({each.key for each in issued}) == 151
        assert trips == [False]

    def test_no_owners_no_keys(self, engine: Engine) -> None:
        """Nothing is stored."""
        assert (engine.letter_keys.issue([]), engine.letter_keys.find([])) == ([], [])
        assert keys(engine) == set()


class TestErasure:
    """``LetterKeys.erase``, and what comes after it."""

    def test_it_destroys_the_keys_of_these_students_only(self, engine: Engine) -> None:
        """It says how many; once more it finds nothing."""
        mine, other, elsewhere = engine.letter_keys.issue([event(), event("s-2"), event(tenant="t-2")])
        assert engine.letter_keys.erase("t-1", ["s-1", "s-3"]).count == 1
        assert engine.letter_keys.find([mine.name, other.name, elsewhere.name]) == [None, other.key, elsewhere.key]
        done = engine.letter_keys.erase("t-1", ["s-1", "s-3"])
        assert (done.count, done.is_done) == (0, True)

    def test_many_students_at_once(self, engine: Engine) -> None:
        """In bounded commands."""
        students = [f"s-{number}" for number in range(2 * KEYS_PER_CALL + 1)]
        engine.letter_keys.issue([event(each) for each in students])
        assert engine.letter_keys.erase("t-1", students).count == len(students)
        assert keys(engine) == set()

    def test_all_students_of_a_tenant(self, engine: Engine) -> None:
        """Also those of whom nothing else is stored, since the keys are named by pseudonyms; not those of another tenant."""
        owners = [event(f"s-{number}") for number in range(KEYS_PER_CALL + 1)]
        engine.letter_keys.issue([*owners, event(tenant="t-2"), event(tenant="t-11"), DAY])
        assert engine.letter_keys.drop("t-1") == len(owners)
        assert engine.letter_keys.drop("t-1") == 0
        assert len(keys(engine)) == 3

    def test_the_key_under_the_previous_pseudonym_too(self, engine: Engine) -> None:
        """The audit key may have been rotated since the dead letter was written."""
        former = engine.settings
        (old,) = engine.letter_keys.issue([event()])
        rotated = bootstrap(
            replace(former, audit_key="another key of 32 characters, or more", audit_key_previous=former.audit_key)
        )
        (new,) = rotated.letter_keys.issue([event()])
        assert new.name != old.name
        assert rotated.letter_keys.find([old.name]) == [old.key]
        assert rotated.letter_keys.erase("t-1", ["s-1"]).count == 2
        assert rotated.letter_keys.find([old.name, new.name]) == [None, None]
        rotated.redis.close()

    def test_who_returns_gets_another_key(self, engine: Engine) -> None:
        """So an earlier dead letter stays unreadable."""
        (before,) = engine.letter_keys.issue([event()])
        engine.letter_keys.erase("t-1", ["s-1"])
        forget(engine, engine.audit.pseudonym("t-1", "s-1"))
        (after,) = engine.letter_keys.issue([event(moment=AFTER)])
        assert after.key != before.key
        assert engine.letter_keys.find([after.name]) == [after.key]

    @pytest.mark.parametrize("moment", [BEFORE, ERASED_AT, None])
    @pytest.mark.parametrize("is_tenant", [False, True])
    def test_an_event_before_the_erasure_gets_a_key_that_nobody_has(
        self, engine: Engine, moment: datetime | None, is_tenant: bool
    ) -> None:
        """Also one without a timestamp, which may be from before, and after the erasure of a whole tenant."""
        forget(engine, "*" if is_tenant else engine.audit.pseudonym("t-1", "s-1"))
        one, two, other = engine.letter_keys.issue([event(moment=moment), event(moment=moment), event(tenant="t-2")])
        assert one.key != two.key
        assert engine.letter_keys.find([one.name, other.name]) == [None, other.key]

    def test_an_erasure_under_the_previous_pseudonym_holds(self, engine: Engine) -> None:
        """After a rotation of the audit key."""
        former = engine.settings
        forget(engine, engine.audit.pseudonym("t-1", "s-1"))
        rotated = bootstrap(
            replace(former, audit_key="another key of 32 characters, or more", audit_key_previous=former.audit_key)
        )
        (key,) = rotated.letter_keys.issue([event()])
        assert rotated.letter_keys.find([key.name]) == [None]
        rotated.redis.close()


class TestLetters:
    """``seal_letters``."""

    def test_a_letter_of_an_invalid_event(self, engine: Engine) -> None:
        """The contract's fields and headers, without anything personal; the payload is the record."""
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        payload = quiz(student_id="unmistakable", quiz_id="unmistakable-too")
        value = json.dumps(payload).encode()
        letter = sealed(engine, value, key=b"any key", replays=2, traceparent=trace)
        pseudonym = engine.audit.pseudonym("t-1", "unmistakable")
        told = json.loads(letter.value)
        assert told.pop("original_payload").keys() == {"encrypted", "key_id", "tenant", "student", "day"}
        assert told == {
            "event_id": payload["event_id"],
            "original_event_type": "quiz.performance.submitted",
            "error_type": "validation_error",
            "error_message": "data: is wrong",
            "failed_at": "2026-10-28T12:00:00Z",
            "retry_count": 0,
        }
        assert letter.key == f"t-1/{pseudonym}".encode()
        headers = dict(letter.headers)
        assert len(headers.pop("dlq.id")) == 24
        assert headers == {
            "dlq.topic": "mastery.events",
            "dlq.partition": "3",
            "dlq.offset": "17",
            "dlq.error_type": "validation_error",
            "dlq.replay_count": "2",
            "traceparent": trace,
        }
        assert "unmistakable" not in str(letter)
        assert opened(engine, letter) == Original(b"t-1/unmistakable", value, len(value))

    @pytest.mark.parametrize("value", [None, b"unmistakable", b"\xff", b'{"tenant_id": "t-1", "student_id": "un mistakable"}'])
    def test_a_letter_of_a_record_in_which_no_student_can_be_read(self, engine: Engine, value: bytes | None) -> None:
        """It has no Kafka key; the record's own key is encrypted with its value."""
        letter = sealed(engine, value, key=b"unmistakable", traceparent="unmistakable")
        assert letter.key is None
        assert "mistakable" not in str(letter)
        assert "traceparent" not in dict(letter.headers)
        assert opened(engine, letter) == Original(b"unmistakable", value, len(value or b""))
        engine.redis.delete(Keys(engine.settings.key_prefix).letter_key_of_day(FAILED_AT.date().isoformat()))
        assert opened(engine, letter) is Lock.ERASED

    def test_after_the_erasure_it_cannot_be_read(self, engine: Engine) -> None:
        """Neither when the student returns and gets another key."""
        value = json.dumps(quiz()).encode()
        letter = sealed(engine, value)
        engine.letter_keys.erase("t-1", ["s-1"])
        assert opened(engine, letter) is Lock.ERASED
        again = sealed(engine, value)
        assert opened(engine, letter) is Lock.ERASED
        assert isinstance(opened(engine, again), Original)

    def test_a_key_that_was_issued_before_the_erasure_opens_nothing_after_it(self, engine: Engine) -> None:
        """A process that encrypts a dead letter during the erasure."""
        issue = engine.letter_keys.issue

        class Slow(LetterKeys):
            def issue(self, owners: Any) -> Any:
                issued = issue(owners)
                engine.letter_keys.erase("t-1", ["s-1"])
                return issued

        slow = Slow(engine.redis, engine.settings.key_prefix, engine.settings.retention_days, engine.audit.pseudonyms)
        (letter,) = seal_letters([failed_record(json.dumps(quiz()).encode())], slow)
        assert opened(engine, letter) is Lock.ERASED

    def test_its_id_is_that_of_its_source_record(self, engine: Engine) -> None:
        """The same each time; that of another record differs. It cannot be computed without the audit key."""

        def letter_id(offset: int, value: bytes, at: datetime = FAILED_AT) -> str:
            return dict(sealed(engine, value, offset=offset, at=at).headers)["dlq.id"]

        assert letter_id(17, b"{}") == letter_id(17, b"{}", datetime.now(UTC))
        assert len({letter_id(17, b"{}"), letter_id(18, b"{}"), letter_id(17, b"{")}) == 3
        other = bootstrap(replace(engine.settings, audit_key="another key of 32 characters, or more"))
        assert letter_id(17, b"{}") != dict(sealed(other, b"{}").headers)["dlq.id"]
        other.redis.close()

    def test_no_letters(self, engine: Engine) -> None:
        """Nothing is stored."""
        assert seal_letters([], engine.letter_keys) == []
        assert keys(engine) == set()
