"""``mastery dlq replay`` sends dead letters back to the events topic, on each kind of broker."""

import json
import signal
import time
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from app.errors import NotFound
from app.events.bridge_heartbeats import BridgeState, Heartbeat
from app.events.handled_letters import Place
from consumers.dead_letters.reader import DeadLetterTopic
from tests.dead_letters import plain_payload
from tests.integration.dead_letter_desk import SECONDS, Dlq, junk
from tests.learning_events import quiz
from tests.stack import wait_for


def headers(message: Message) -> dict[str, Any]:
    return dict(message.headers() or [])


class TestReplay:
    """``mastery dlq replay``."""

    def test_it_sends_what_the_source_sent_and_only_once(self, desk: Dlq) -> None:
        """Event, key, trace and replay count are sent; a second run sends nothing."""
        event = quiz(comment="é ☃ \u0000", number=1e22)
        desk.letter(event, key=b"t-1/s-7", replays=1, traceparent="00-1-2-01")
        desk.letter(quiz(), key=None, partition=1)
        junk(desk)
        said = desk.run("replay")
        assert said.exit_code == 0
        assert (
            "2 dead letters replayed, 0 handled before, 0 over the limit, 5 unreadable, 0 refused, 0 not delivered"
            in said.stdout
        )
        sent = {message.key(): message for message in desk.events()}
        assert set(sent) == {b"t-1/s-7", None}
        assert json.loads(sent[b"t-1/s-7"].value() or b"") == event
        assert headers(sent[b"t-1/s-7"]) == {"dlq.replay_count": b"2", "traceparent": b"00-1-2-01"}
        assert headers(sent[None]) == {"dlq.replay_count": b"1"}
        assert "0 dead letters replayed, 2 handled before" in desk.run("replay").stdout
        assert len(desk.events()) == 2
        assert len(desk.places()) == 5
        assert {each["handled"] for each in desk.listed("--all")} == {"replayed", None}

    def test_behind_a_halted_bridge_it_ends_at_once(self, desk: Dlq, monkeypatch: pytest.MonkeyPatch) -> None:
        """It names the command to resume, and does not wait for two minutes. A dry run, which sends nothing, does not mind."""
        monkeypatch.setattr("consumers.kafka.paced_producer.CHECK_EVERY_BYTES", 1)
        monkeypatch.setattr("consumers.kafka.paced_producer.MAX_UNREAD_BYTES", 0)
        desk.letter(quiz())
        desk.engine.bridges.report("halted", Heartbeat(BridgeState.HALTED, 200, 150))
        assert desk.run("replay", "--dry-run").exit_code == 0
        said = desk.run("replay")
        assert said.exit_code != 0
        assert "mastery bridge resume" in said.output

    def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(self, desk: Dlq) -> None:
        """Nor does it mark anything."""
        mine = desk.letter(quiz())
        desk.letter(quiz(tenant_id="t-2"), partition=1)
        said = desk.run("replay", "--dry-run", "--tenant", "t-1")
        assert "1 dead letter would be replayed" in said.stdout
        assert [line.split()[0] for line in said.stdout.splitlines() if "went wrong" in line] == [str(mine)]
        assert (desk.events(), desk.marked()) == ([], 0)

    def test_filters_and_places_choose(self, desk: Dlq) -> None:
        """The others stay."""
        one, two = desk.letter(quiz()), desk.letter(quiz(tenant_id="t-2"), partition=1)
        three = desk.letter(quiz(tenant_id="t-2"), partition=2)
        desk.run("replay", two, two)
        assert desk.places() == {str(one), str(three)}
        desk.run("replay", "--tenant", "t-2")
        assert desk.places() == {str(one)}
        assert len(desk.events()) == 2

    @pytest.mark.parametrize("value", [b"\xff\\xff", b"{broken", b'"text"', b"[1, 2]", b'{"a": "' + b"x" * 200_000 + b'"}'])
    def test_what_the_letter_may_not_hold_exactly_comes_from_the_source(self, desk: Dlq, value: bytes) -> None:
        """Bytes that are not UTF-8, text, and truncated payloads are sent byte for byte, with the source's key."""
        source = desk.produce(desk.settings.events_topic, value, b"k" * 300, {}, partition=1)
        desk.letter(plain_payload(value), source=source, key=b"k" * 200)
        assert desk.run("replay").exit_code == 0
        (again,) = [message for message in desk.events() if headers(message)]
        assert (value, b"k" * 300) == (again.value(), again.key())

    def test_what_cannot_be_had_exactly_is_refused(self, desk: Dlq) -> None:
        """Each has its reason, and the others are sent; the exit code shows that something was refused."""
        other = desk.produce(desk.settings.events_topic, b"another", None, {})
        gone, changed = desk.letter("cut… (9 bytes in all)", source=Place(0, 7)), desk.letter("text", source=other)
        desk.letter(quiz())
        said = desk.run("replay")
        assert said.exit_code == 1
        assert f"{gone} cannot be replayed: its payload may be cut or altered, and the source record" in said.stdout
        assert f"{changed} cannot be replayed: its payload may be cut or altered, and the record at" in said.stdout
        assert "1 dead letter replayed, 0 handled before, 0 over the limit, 0 unreadable, 2 refused" in said.stdout
        assert len(desk.events()) == 2
        assert desk.places() == {str(gone), str(changed)}

    def test_what_is_larger_than_kafka_takes_is_refused(self, embedded_desk: Dlq) -> None:
        """A producer with other limits wrote it; the others are sent."""
        desk, large = embedded_desk, b'{"a": "' + b"x" * 1_020_000 + b'"}'
        out = Producer({"bootstrap.servers": desk.settings.kafka_bootstrap, "message.max.bytes": 1_040_000})
        out.produce(desk.settings.events_topic, value=large, partition=0)
        assert out.flush(SECONDS) == 0
        place = desk.letter(plain_payload(large))
        desk.letter(quiz())
        said = desk.run("replay")
        assert said.exit_code == 1
        assert f"{place} cannot be replayed: Kafka takes no record of {len(large):,} bytes" in said.stdout
        assert "1 dead letter replayed" in said.stdout

    def test_much_is_sent_as_long_as_the_bridge_is_not_far_behind(self, embedded_desk: Dlq) -> None:
        """The lag is checked every half megabyte; a lag of two records does not matter."""
        for _ in range(2):
            embedded_desk.letter(quiz(comment="x" * 600_000))
        assert "2 dead letters replayed" in embedded_desk.run("replay").stdout

    def test_letters_that_come_back_are_given_up_after_some_replays(self, embedded_desk: Dlq) -> None:
        """The count is sent with the event; the operator sets the limit."""
        desk = embedded_desk
        desk.letter(quiz())
        for replays in (1, 2, 3):
            assert "1 dead letter replayed" in desk.run("replay").stdout
            newest = max(desk.events(), key=lambda message: headers(message)["dlq.replay_count"])
            assert headers(newest)["dlq.replay_count"] == str(replays).encode()
            desk.letter(json.loads(newest.value() or b""), replays=replays)  # like the bridge
        said = desk.run("replay")
        assert "0 dead letters replayed, 3 handled before, 1 over the limit" in said.stdout
        assert said.exit_code == 0
        assert len(desk.events()) == 3
        assert "1 dead letter replayed" in desk.run("replay", "--max-replays", 4).stdout

    def test_letters_that_arrive_meanwhile_are_left_for_the_next_time(self, desk: Dlq) -> None:
        """So a run ends, even if everything that it sends fails again."""
        first = desk.letter(quiz())
        with DeadLetterTopic(desk.settings) as topic:
            second = desk.letter(quiz())
            desk.letter(quiz(), partition=1)
            assert [each.place for each in topic.letters()] == [first]
            assert len(topic) == 1
            with pytest.raises(NotFound):
                topic.letter(Place(0, 99))
        assert str(second) in desk.places()

    def test_the_rate_is_kept(self, embedded_desk: Dlq) -> None:
        """20 dead letters at 20 a second take about a second."""
        for _ in range(20):
            embedded_desk.letter(quiz())
        began = time.monotonic()
        assert "20 dead letters replayed" in embedded_desk.run("replay", "--rate", 20).stdout
        assert time.monotonic() - began > 0.5

    def test_an_interrupted_run_is_continued(self, embedded_desk: Dlq) -> None:
        """Delivered dead letters are marked; all are sent, and at most one batch is sent twice."""
        desk = embedded_desk
        for number in range(40):
            desk.letter(quiz(quiz_id=f"q-{number}"))
        run = desk.start("replay", "--rate", 10)  # a batch then has one dead letter
        try:
            wait_for(lambda: desk.marked() >= 3, SECONDS)
            run.send_signal(signal.SIGINT)
            said, _ = run.communicate(timeout=SECONDS)
        finally:
            run.kill()
        assert run.returncode == 1
        assert "Stopped early; the same command goes on from here." in said
        before = desk.marked()
        assert 3 <= before < 40
        assert f"{40 - before} dead letters replayed, {before} handled before" in desk.run("replay").stdout
        sent = [json.loads(message.value() or b"")["data"]["quiz_id"] for message in desk.events()]
        assert set(sent) == {f"q-{number}" for number in range(40)}
        assert len(sent) <= 41
