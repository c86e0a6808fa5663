"""``mastery dlq`` lists, shows and purges dead letters on each kind of broker, and reports an unavailable one."""

import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.handled_letters import Handled, HandledLetters, Place
from cli.stack.embedded import embedded
from cli.stack.ports import claim_port
from consumers.dead_letters.reader import DeadLetterTopic
from consumers.dead_letters.replay import Replay, ReplayOutcome, Sources
from consumers.kafka.record_reader import RecordReader
from tests.integration.dead_letter_desk import NOW, SECONDS, Dlq, junk, new_dlq
from tests.learning_events import quiz
from tests.stack import wait_for


class TestList:
    """``mastery dlq list``."""

    def test_it_is_a_table_of_the_newest_without_students(self, desk: Dlq) -> None:
        """It also has the number of all matches."""
        old = desk.letter(quiz(student_id="unmistakable"), ago=timedelta(hours=2), key=b"t-1/unmistakable")
        new = desk.letter(quiz(student_id="unmistakable", tenant_id="t-9"), partition=1, reason="timeout_error", replays=2)
        said = desk.run("list")
        assert said.exit_code == 0
        rows = [line.split() for line in said.stdout.splitlines() if "went wrong" in line]
        assert [[row[0], *row[3:7]] for row in rows] == [
            [str(new), "timeout_error", "t-9", "quiz.performance.submitted", "2"],
            [str(old), "processing_error", "t-1", "quiz.performance.submitted", "0"],
        ]
        assert said.stdout.endswith("2 dead letters\n")
        assert "2 dead letters; the newest 1 are shown, --limit shows more" in desk.run("list", "--limit", 1).stdout
        for output in (said.output, desk.run("list", "--json", "--all").output):
            assert "unmistakable" not in output

    def test_an_empty_topic_and_one_that_is_not_there(self, desk: Dlq) -> None:
        """Neither has dead letters."""
        assert desk.run("list").stdout == "0 dead letters\n"
        desk.environment["MASTERY_DLQ_TOPIC"] = f"missing-{uuid4().hex}"
        for command in (["list"], ["replay"], ["purge", "--yes"]):
            said = desk.run(*command)
            assert (said.exit_code, "0 dead letters" in said.stdout) == (0, True)

    def test_a_misspelt_tenant_has_an_exit_code_of_its_own(self, embedded_desk: Dlq) -> None:
        """For each command; a tenant with dead letters or events is known."""
        desk = embedded_desk
        desk.letter(quiz(tenant_id="t-9"))
        for command in (["list"], ["replay", "--dry-run"], ["purge", "--dry-run"]):
            said = desk.run(*command, "--tenant", "nosuch")
            assert (said.exit_code, "nosuch: there is no such tenant" in said.output) == (3, True), command
            assert desk.run(*command, "--tenant", "t-9", "--reason", "timeout_error").exit_code == 0

    def test_filters_pick_by_reason_tenant_and_time(self, embedded_desk: Dlq) -> None:
        """All given options must match."""
        desk = embedded_desk
        early = str(desk.letter(quiz(), reason="validation_error", ago=timedelta(days=4)))
        late = str(desk.letter(quiz(tenant_id="t-2"), partition=1))
        yesterday = str(desk.letter(quiz(tenant_id="t-2"), partition=2, ago=timedelta(days=1)))
        assert desk.places() == {early, late, yesterday}
        assert desk.places("--reason", "validation_error") == {early}
        assert desk.places("--tenant", "t-2") == {late, yesterday}
        assert desk.places("--since", "2h") == {late}
        assert desk.places("--since", "3d", "--until", "2h") == {yesterday}
        assert desk.places("--until", (NOW - timedelta(days=3)).isoformat()) == {early}
        assert desk.places("--tenant", "t-2", "--reason", "validation_error") == set()

    def test_what_is_no_letter_is_listed_as_unreadable(self, embedded_desk: Dlq) -> None:
        """With the reason, and without terminal control characters."""
        broken = {str(each) for each in junk(embedded_desk)}
        listed = embedded_desk.listed()
        assert broken == {each["place"] for each in listed}
        assert {each["reason"] for each in listed} == {"unreadable"}
        said = embedded_desk.run("list").stdout
        assert "it has no value" in said
        assert "\x1b" not in said

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["list", "--since", "yesterday"], "--since: must be ISO 8601"),
            (["list", "--reason", "bad_luck"], "'bad_luck' is not one of"),
            (["show", "3"], "PLACE: must be partition:offset"),
            (["replay", "--rate", "0"], "--rate"),
        ],
    )
    def test_what_is_typed_wrong_is_told(self, embedded_desk: Dlq, arguments: list[str], words: str) -> None:
        """With an error message and an exit code."""
        said = embedded_desk.run(*arguments)
        assert said.exit_code != 0
        assert words in said.output


class TestShow:
    """``mastery dlq show``."""

    def test_it_shows_everything_of_it(self, desk: Dlq) -> None:
        """This includes personal data, since the operator asked for this dead letter."""
        place = desk.letter(quiz(student_id="unmistakable"), source=Place(0, 42), traceparent="00-1-2-01")
        shown = json.loads(desk.run("show", place).stdout)
        assert shown["letter"]["original_payload"]["student_id"] == "unmistakable"
        assert shown["source"] == f"{desk.settings.events_topic}/0/42"
        assert shown["headers"]["traceparent"] == "00-1-2-01"
        assert (shown["place"], shown["key"], shown["handled"]) == (str(place), "t-1/s-1", None)

    def test_it_shows_what_is_no_letter(self, embedded_desk: Dlq) -> None:
        """As far as it can be read."""
        for place in junk(embedded_desk):
            said = embedded_desk.run("show", place)
            assert json.loads(said.stdout)["unreadable"]
            assert "\x1b" not in said.stdout

    @pytest.mark.parametrize("place", ["0:1", "99:0", "2147483648:0"])
    def test_a_place_where_nothing_is(self, desk: Dlq, place: str) -> None:
        """Each command prints an error, and has an exit code."""
        desk.letter(quiz())
        for command in (["show"], ["replay"], ["purge", "--yes"]):
            said = desk.run(*command, place)
            assert (said.exit_code, f"no dead letter at {place}" in said.output) == (1, True)


class TestPurge:
    """``mastery dlq purge``."""

    def test_it_asks_first(self, desk: Dlq) -> None:
        """Without a confirmation nothing is purged."""
        desk.letter(quiz())
        said = desk.run("purge", answer="n\n")
        assert said.exit_code == 1
        assert "Purge 1 dead letter? They cannot be replayed afterwards." in said.stdout
        assert len(desk.places()) == 1

    def test_a_dry_run_only_says_what_would_be(self, desk: Dlq) -> None:
        """Nothing is hidden."""
        desk.letter(quiz(tenant_id="t-2"))
        desk.letter(quiz())
        said = desk.run("purge", "--dry-run", "--tenant", "t-1")
        assert "1 dead letter would be purged: 0 deleted from Kafka, 1 hidden" in said.stdout
        assert len(desk.places()) == 2

    def test_what_is_purged_is_neither_listed_nor_replayed(self, desk: Dlq) -> None:
        """Unreadable records can be purged too."""
        stays = desk.letter(quiz(tenant_id="t-2"))
        gone = [desk.letter(quiz()), *junk(desk)]
        said = desk.run("purge", *gone, "--yes")
        assert said.exit_code == 0
        assert desk.places() == {str(stays)}
        assert {each["handled"] for each in desk.listed("--all")} == {"purged", None}
        assert "0 dead letters replayed, 1 handled before" in desk.run("replay", "--tenant", "t-1").stdout
        assert "0 dead letters purged" in desk.run("purge", "--tenant", "t-1", "--yes").stdout

    def test_an_apache_kafka_deletes_the_beginning_of_a_partition(self, settings: Settings, apache_kafka: str) -> None:
        """Up to the first dead letter that was not handled; later ones are hidden, and deleted when possible."""
        desk = new_dlq(settings, apache_kafka)
        first, second = desk.letter(quiz()), desk.letter(quiz(tenant_id="t-2"))
        third, other = desk.letter(quiz()), desk.letter(quiz(), partition=1)
        said = desk.run("purge", "--tenant", "t-1", "--yes")
        assert "3 dead letters purged: 2 deleted from Kafka, 1 hidden" in said.stdout
        assert desk.run("show", first).exit_code == desk.run("show", other).exit_code == 1
        assert desk.run("show", third).exit_code == 0
        desk.run("replay", second)
        assert "0 dead letters purged" in desk.run("purge", "--tenant", "t-1", "--yes").stdout
        assert desk.read(desk.settings.dlq_topic) == []
        assert desk.run("list", "--all").stdout == "0 dead letters\n"
        assert desk.marked() == 0
        desk.close()

    def test_the_embedded_broker_deletes_nothing_and_the_command_says_so(self, embedded_desk: Dlq) -> None:
        """The dead letters are hidden."""
        embedded_desk.letter(quiz())
        said = embedded_desk.run("purge", "--yes")
        assert "1 dead letter purged: all hidden, none deleted, since this broker cannot delete records" in said.stdout
        assert (embedded_desk.places(), len(embedded_desk.read(embedded_desk.settings.dlq_topic))) == (set(), 1)


class TestOutage:
    """An unavailable dependency."""

    def test_no_kafka_or_no_redis_is_a_message(self, embedded_desk: Dlq) -> None:
        """With an exit code, and nothing is done."""
        embedded_desk.letter(quiz())
        for variable, address, who in (
            ("MASTERY_REDIS_URL", f"redis://127.0.0.1:{claim_port()}/0", "redis"),
            ("MASTERY_KAFKA_BOOTSTRAP", f"127.0.0.1:{claim_port()}", "kafka"),
        ):
            embedded_desk.environment[variable] = address
            said = embedded_desk.run("replay")
            assert (said.exit_code, f"Error: {who} is unavailable" in said.output) == (1, True)
        assert embedded_desk.events() == []

    def test_a_broker_that_goes_away_ends_the_run(self, settings: Settings) -> None:
        """It ends soon, with an exit code; delivered dead letters stay marked."""
        with embedded("kafka") as bootstrap_servers:
            desk = new_dlq(settings, bootstrap_servers)
            for _ in range(100):
                desk.letter(quiz())
            run = desk.start("replay", "--rate", 10)
            wait_for(lambda: desk.marked() >= 2, SECONDS)
        try:
            said, _ = run.communicate(timeout=SECONDS)
        finally:
            run.kill()
        assert run.returncode == 1
        assert "Error: kafka" in said
        assert "Stopped early; the same command goes on from here." in said
        assert "1 not delivered" in said
        assert "Traceback" not in said
        assert 2 <= desk.marked() < 100
        desk.close()

    def test_a_letter_that_is_not_delivered_is_not_marked(self, embedded_desk: Dlq) -> None:
        """The run ends with an error."""
        embedded_desk.letter(quiz())
        nowhere = Producer({"bootstrap.servers": "127.0.0.1:9", "delivery.timeout.ms": 200, "linger.ms": 0, "log_level": 0})
        marked: list[Sequence[object]] = []
        reader = RecordReader(embedded_desk.settings)
        run = Replay(
            embedded_desk.settings.events_topic,
            producer=nowhere,
            sources=Sources(reader, embedded_desk.settings.events_topic),
            keys=embedded_desk.engine.letter_keys,
            handled=(),
            arrived=marked.extend,
            refused=lambda _letter, _reason: None,
            max_replays=3,
        )
        with DeadLetterTopic(embedded_desk.settings) as topic, pytest.raises(DependencyUnavailable, match="kafka did not take"):
            run.run(topic.letters())
        reader.close()
        assert (run.counts[ReplayOutcome.UNDELIVERED], run.counts[ReplayOutcome.REPLAYED], marked) == (1, 0, [])

    def test_marks_of_another_cluster_hide_nothing(self, settings: Settings, kafka_bootstrap: str) -> None:
        """An embedded broker begins at offset 0 after each restart."""
        desk = new_dlq(settings, kafka_bootstrap)
        place = desk.letter(quiz())
        marks = HandledLetters(desk.engine.redis, desk.settings.key_prefix)
        marks.mark(f"another/{desk.settings.dlq_topic}", [place], Handled.REPLAYED)
        assert desk.places() == {str(place)}
        desk.close()
