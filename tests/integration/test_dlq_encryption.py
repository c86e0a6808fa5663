"""``mastery dlq`` decrypts dead letters, as long as their keys exist."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.clock import microseconds
from app.events.sealed_payload import MAX_PAYLOAD_BYTES
from app.storage.keys import Keys
from tests.dead_letters import FAILED_AT
from tests.integration.dead_letter_desk import SECONDS, Dlq
from tests.integration.running_bridge import Running, own_topics, produce
from tests.learning_events import quiz
from tests.stack import wait_for

ID = "unmistakable"
EVENT = json.dumps(quiz(student_id=ID, total_questions=0, comment="é ☃ \u0000", number=1e22)).encode()
LARGE = json.dumps(quiz(student_id=ID, comment="x" * MAX_PAYLOAD_BYTES)).encode()
NO_EVENT = b"\xff no event"


def shown(desk: Dlq, place: object) -> Any:
    said = desk.run("show", place)
    assert said.exit_code == 0
    return json.loads(said.stdout)


class TestShow:
    """``mastery dlq show``."""

    def test_it_decrypts_the_payload(self, embedded_desk: Dlq) -> None:
        """The operator asked for this dead letter. The audit entry has the student's pseudonym."""
        desk = embedded_desk
        desk.engine.redis.sadd(Keys(desk.settings.key_prefix).tenants(), "t-1")
        told = shown(desk, desk.sealed(EVENT, key=b"any key"))
        pseudonym = desk.engine.audit.pseudonym("t-1", ID)
        assert told["letter"]["original_payload"] == json.loads(EVENT)
        assert (told["payload"], told["tenant"], told["key"]) == ("decrypted", "t-1", f"t-1/{pseudonym}")
        ((_, entry),) = desk.engine.audit.oldest_first("t-1")
        assert json.loads(entry[b"entry"])["whose"] == [pseudonym]

    def test_what_is_no_event_is_shown_as_text(self, embedded_desk: Dlq) -> None:
        """Its key is that of the day."""
        told = shown(embedded_desk, embedded_desk.sealed(NO_EVENT, key=b"any key"))
        assert (told["letter"]["original_payload"], told["key"], told["tenant"]) == ("\\xff no event", None, None)

    def test_after_the_erasure_it_is_erased(self, embedded_desk: Dlq) -> None:
        """The reason of the failure stays; nothing of the student does."""
        place = embedded_desk.sealed(EVENT)
        embedded_desk.engine.letter_keys.erase("t-1", [ID])
        told = shown(embedded_desk, place)
        assert (told["payload"], told["letter"]["original_payload"]) == ("erased", None)
        assert told["letter"]["error_message"] == "data: is wrong"
        assert ID not in str(told)

    def test_dead_letters_of_earlier_versions_are_plain(self, embedded_desk: Dlq) -> None:
        """They are shown as they are."""
        told = shown(embedded_desk, embedded_desk.letter(quiz(student_id=ID)))
        assert (told["payload"], told["letter"]["original_payload"]["student_id"]) == ("plain", ID)


class TestList:
    """``mastery dlq list``."""

    def test_it_says_which_are_erased(self, embedded_desk: Dlq) -> None:
        """In the table and in the JSON."""
        desk = embedded_desk
        erased, kept, plain = desk.sealed(EVENT), desk.sealed(NO_EVENT), desk.letter(quiz())
        desk.engine.letter_keys.erase("t-1", [ID])
        told = {each["place"]: each["erased"] for each in desk.listed()}
        assert told == {str(erased): True, str(kept): False, str(plain): False}
        assert desk.run("list").stdout.count("[erased] data: is wrong") == 1

    def test_the_tenant_can_be_selected(self, embedded_desk: Dlq) -> None:
        """It is not encrypted, and stays after an erasure. A record may have a tenant, but no student."""
        desk = embedded_desk
        mine, other = desk.sealed(EVENT), desk.sealed(json.dumps(quiz(tenant_id="t-2", student_id="no id")).encode())
        desk.sealed(NO_EVENT)
        desk.engine.letter_keys.erase("t-1", [ID])
        assert (desk.places("--tenant", "t-1"), desk.places("--tenant", "t-2")) == ({str(mine)}, {str(other)})


class TestReplay:
    """``mastery dlq replay``."""

    @pytest.mark.parametrize(
        ("value", "key", "sent_key"),
        [
            (EVENT, b"any key", b"t-1/unmistakable"),
            (EVENT, None, b"t-1/unmistakable"),
            (b"{broken", b"t-9/s-9", b"t-9/s-9"),
            (NO_EVENT, b"any key", b"any key"),
            (b"[1, 2]", None, None),
            (b"", None, None),
        ],
        ids=range(6),
    )
    def test_it_sends_the_record_byte_for_byte(
        self, embedded_desk: Dlq, value: bytes, key: bytes | None, sent_key: bytes | None
    ) -> None:
        """With the key of the student if one can be read, or else the record's own."""
        embedded_desk.sealed(value, key=key)
        assert "1 dead letter replayed" in embedded_desk.run("replay").stdout
        (sent,) = embedded_desk.events()
        assert (sent.key(), sent.value() or b"") == (sent_key, value)

    def test_what_was_cut_comes_from_the_source(self, embedded_desk: Dlq) -> None:
        """If that is still the same record."""
        desk = embedded_desk
        source = desk.produce(desk.settings.events_topic, LARGE, b"any key", {}, partition=1)
        desk.sealed(LARGE, offset=source.offset)
        assert "1 refused" in desk.run("replay").stdout  # there is no such record in partition 3
        (letter,) = desk.listed()
        desk.sealed(LARGE, partition=1, offset=source.offset)
        desk.run("purge", letter["place"], "--yes")
        assert "1 dead letter replayed" in desk.run("replay").stdout
        assert sorted((each.key(), each.value()) for each in desk.events()) == [
            (b"any key", LARGE),
            (b"t-1/unmistakable", LARGE),
        ]

    @pytest.mark.parametrize("value", [EVENT, LARGE], ids=["whole", "cut"])
    def test_what_is_erased_is_not_sent(self, embedded_desk: Dlq, value: bytes) -> None:
        """It is counted, also if Kafka still has the source record. The others are sent, and it is no error."""
        desk = embedded_desk
        source = desk.produce(desk.settings.events_topic, value, b"t-1/unmistakable", {}, partition=1)
        place = desk.sealed(value, partition=1, offset=source.offset)
        desk.sealed(NO_EVENT)
        desk.engine.letter_keys.erase("t-1", [ID])
        for arguments in ([], [place]):
            said = desk.run("replay", *arguments)
            assert (said.exit_code, "1 erased" in said.stdout) == (0, True)
        assert {each.value() for each in desk.events()} == {value, NO_EVENT}
        assert len(desk.events()) == 2

    def test_the_key_of_a_student_who_returned_opens_no_earlier_letter(self, embedded_desk: Dlq) -> None:
        """The new one is replayed, the old one is erased."""
        desk = embedded_desk
        desk.sealed(EVENT)
        desk.engine.letter_keys.erase("t-1", [ID])
        new = json.dumps(quiz(student_id=ID)).encode()
        desk.sealed(new)
        assert "1 dead letter replayed" in (said := desk.run("replay").stdout)
        assert "1 erased" in said
        assert [each.value() for each in desk.events()] == [new]

    def test_what_was_altered_is_refused(self, embedded_desk: Dlq) -> None:
        """Or what another producer wrote under the name of an existing key."""
        desk = embedded_desk
        desk.sealed(EVENT)
        (message,) = desk.read(desk.settings.dlq_topic)
        value = json.loads(message.value() or b"")
        value["original_payload"]["encrypted"] = "gAAAAA"
        place = desk.produce(desk.settings.dlq_topic, json.dumps(value).encode(), None, {})
        said = desk.run("replay", place)
        assert said.exit_code == 1
        assert f"{place} cannot be replayed: its encrypted payload was altered" in said.stdout
        assert desk.events() == []
        assert shown(desk, place)["payload"] == "altered"

    def test_without_the_key_of_its_day_it_is_erased(self, embedded_desk: Dlq) -> None:
        """Such keys expire after the retention."""
        desk = embedded_desk
        desk.sealed(NO_EVENT)
        name = Keys(desk.settings.key_prefix).letter_key_of_day(FAILED_AT.date().isoformat())
        assert desk.engine.redis.delete(name) == 1
        assert "0 dead letters replayed" in (said := desk.run("replay").stdout)
        assert "1 erased" in said

    def test_a_record_without_a_value_is_refused(self, embedded_desk: Dlq) -> None:
        """There is nothing to send."""
        embedded_desk.sealed(None)
        assert "cannot be replayed: its record has no value" in embedded_desk.run("replay").stdout


def test_a_dead_letter_in_another_format_is_no_sealed_one(embedded_desk: Dlq) -> None:
    """An object that only looks like one is shown as it is, and names no key in Redis."""
    odd = {"encrypted": "x", "key_id": "no hash", "tenant": "t-1", "student": "{t-2}:student", "day": None}
    told = shown(embedded_desk, embedded_desk.letter(odd))
    assert (told["payload"], told["letter"]["original_payload"]) == ("plain", odd)


def test_what_arrives_again_after_the_erasure_cannot_be_read(embedded_desk: Dlq, tmp_path: Path) -> None:
    """The dead letter from before is erased, and so is that of the same record, read once more. A later event's is readable."""
    settings = own_topics(embedded_desk.settings, embedded_desk.settings.kafka_bootstrap, tmp_path)
    desk, now = Dlq(settings), datetime.now(UTC)

    def invalid(moment: datetime) -> bytes:
        return json.dumps(quiz(student_id=ID, total_questions=0, timestamp=moment.isoformat())).encode()

    def dead_letter(value: bytes) -> None:
        before = sum(desk.engine.ledger.counts().dead_letters.values())
        produce(settings, value)
        wait_for(lambda: sum(desk.engine.ledger.counts().dead_letters.values()) == before + 1, SECONDS)
        wait_for(lambda: desk.engine.ledger.letters_waiting() == 0, SECONDS)

    with Running(desk.engine):
        dead_letter(invalid(now - timedelta(hours=1)))
        assert [each["erased"] for each in desk.listed()] == [False]
        desk.engine.mastery.facts.erase("t-1", {ID: microseconds(datetime.now(UTC))})
        desk.engine.letter_keys.erase("t-1", [ID])
        dead_letter(invalid(now - timedelta(hours=1)))
        dead_letter(json.dumps(quiz(student_id=ID, timestamp="at no time")).encode())
        assert [each["erased"] for each in desk.listed()] == [True, True, True]
        time.sleep(0.01)
        later = invalid(datetime.now(UTC))
        dead_letter(later)
        assert "1 dead letter replayed" in (said := desk.run("replay").stdout)
        assert "3 erased" in said
    desk.close()
