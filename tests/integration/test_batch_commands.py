"""``mastery batch`` submits, watches, reads, cancels and lists batches."""

import csv
import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.batches.batch import MAX_STUDENTS, BatchKey, BatchStatus
from app.batches.batch_kinds import NO_EVIDENCE
from app.config.settings import Settings
from tests.integration.audit_calls import deeds, engine_trail
from tests.integration.batch_desk import BatchDesk, new_batch_desk, record
from tests.integration.conftest import LiveApi
from tests.integration.test_audit_commands import ME
from tests.stack import Stack


@pytest.fixture
def desk(settings: Settings) -> Iterator[BatchDesk]:
    with new_batch_desk(settings) as made:
        yield made


class TestOnAStack:
    """With workers."""

    def test_a_batch_from_its_submission_to_its_results(self, stack: Stack, live_api: LiveApi) -> None:
        """Standard output of `submit` is the id only, so that scripts can use it. Results are what the API answers."""
        tenant, students = live_api.tenant, [f"s-{number}" for number in range(300)]
        record(stack.engine, tenant, students)
        submitted = stack.mastery("batch", "submit", "--tenant", tenant, "--cohort", "c-1", "--priority", "high")
        batch_id = submitted.stdout.strip()
        assert (submitted.stdout, submitted.stderr) == (f"{batch_id}\n", "")
        watched = stack.mastery("batch", "watch", batch_id, "--tenant", tenant)
        assert f"batch {batch_id} succeeded\nstudents: 300; 300 succeeded, 0 failed\n" in watched.stdout
        assert "mastery: mean 0.2" in watched.stdout
        assert ", 0 expert\n" in watched.stdout
        found = stack.mastery("batch", "results", batch_id, "--tenant", tenant, "--format", "json").stdout
        results = {each["student_id"]: each for each in json.loads(found)}
        assert sorted(results) == sorted(students)
        assert results["s-7"] == live_api.post("/mastery/query", {"student_id": "s-7"}).json()["data"]
        listed = stack.mastery("batch", "list", "--tenant", tenant).stdout
        assert batch_id in listed
        assert listed.endswith("1 batch\n")

    def test_the_trail_says_who_asked_and_whose_data_was_read(self, stack: Stack, tenant: str) -> None:
        """The tasks work on behalf of the operator, under the correlation id of the command."""
        record(stack.engine, tenant, ["s-1", "s-2"])
        batch_id = stack.mastery("batch", "submit", "--tenant", tenant, "--all", "--watch").stdout.splitlines()[0]
        stack.mastery("batch", "results", batch_id, "--tenant", tenant)
        created, computed, asked, shown = engine_trail(stack.engine, tenant)
        whose = [stack.engine.audit.pseudonym(tenant, student) for student in ("s-1", "s-2")]
        about = {"batch_id": batch_id}
        for found, channel, action in (
            (created, "command", "batch.create"),
            (computed, "task", "batch.run"),
            (asked, "command", "batch.results"),
            (shown, "command", "batch.results"),
        ):
            assert (found["channel"], found["role"], found["who"], found["action"]) == (channel, "operator", ME, action)
            assert found["details"] == about
        assert computed["correlation_id"] == created["correlation_id"] != shown["correlation_id"]
        assert [each.get("whose", []) for each in (created, computed, asked, shown)] == [[], whose, [], whose]

    def test_a_list_from_standard_input(self, stack: Stack, tenant: str) -> None:
        """Bad lines are reported with their numbers, and the others are computed. The command ends as `watch` does."""
        record(stack.engine, tenant, ["s-1", "s-2"])
        given = {"student_id": "new", "components": {"quiz": 1.0}}
        lines = ["s-1", "", "s 2", "s-2", json.dumps(given), "{broken", "nobody", "s-1"]
        done = stack.mastery(
            *("batch", "submit", "--tenant", tenant, "--students", "-", "--batch-id", "mine", "--watch"),
            *("--weights", "completion=0,quiz=0.7"),
            given="\r\n".join(lines),
        )
        remarks = done.stderr.splitlines()
        assert remarks[0] == "4 of 7 students were rejected:"
        assert [line.split(":")[0].strip() for line in remarks[1:]] == ["line 3", "line 6", "line 7", "line 8"]
        assert remarks[3:] == [f"  line 7: {NO_EVIDENCE}", "  line 8: is listed already, at line 1"]
        assert done.stdout.startswith("mine\n")
        assert "students: 3; 3 succeeded, 0 failed" in done.stdout
        found = stack.mastery("batch", "results", "mine", "--tenant", tenant).stdout
        assert [(each["student_id"], each["score"]) for each in map(json.loads, found.splitlines())] == [
            *(("s-1", 0.56), ("s-2", 0.56)),
            ("new", 0.7),
        ]


class TestSubmit:
    """``mastery batch submit`` on an engine whose broker has no worker."""

    def test_the_same_command_submits_once(self, desk: BatchDesk) -> None:
        """With an id of its own; another command with this id is refused."""
        first = desk.run("submit", "--cohort", "c-1", "--batch-id", "mine")
        again = desk.run("submit", "--cohort", "c-1", "--batch-id", "mine")
        other = desk.run("submit", "--cohort", "c-1", "--batch-id", "mine", "--priority", "low")
        assert (first.exit_code, first.output) == (0, "mine\n")
        assert (again.exit_code, again.stdout) == (0, "mine\n")
        assert "It was submitted before, and is not submitted again." in again.stderr
        assert (other.exit_code, other.stdout) == (1, "")
        assert "Error: there is a batch with this id, of another request" in other.stderr

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (
                "nobody\n\nno one\n",
                f"Error: no student is valid:\n  line 1: {NO_EVIDENCE}\n  line 3: must be 1 to 50 letters, digits, _ or -",
            ),
            ("\n \n", "Error: --students: has no students"),
            ("s-1\n" * (MAX_STUDENTS + 1), "must have at most 10,000 students, not 10,001; --cohort and --all have no limit"),
            (" " * 4_000_001, "must have at most 4,000,000 bytes"),
        ],
    )
    def test_a_list_without_a_valid_student_is_refused(self, desk: BatchDesk, given: str, words: str) -> None:
        """With the reasons, and so is one that is too long."""
        done = desk.run("submit", "--students", "-", given=given)
        assert (done.exit_code, done.stdout) == (1, "")
        assert words in done.stderr
        assert desk.engine.batches.running() == 0

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "give one of --students, --cohort and --all"),
            (["--all", "--cohort", "c-1"], "give one of --students, --cohort and --all"),
            (["--cohort", "c/1"], "must be 1 to 50 letters, digits, _ or -"),
            (["--all", "--batch-id", "a b"], "must be 1 to 50 letters, digits, _ or -"),
            (["--all", "--as-of", "yesterday"], "'yesterday' does not match"),
            (["--all", "--weights", "quiz=1"], "weights: must sum to 1"),
            (["--all", "--weights", "luck=1"], "there is no weight 'luck'; there are completion, quiz, quality, consistency"),
            (["--all", "--weights", "quiz"], "quiz must be a number from 0 to 1"),
            (["--all", "--priority", "urgent"], "'urgent' is not one of"),
            (["--students", "/nowhere/at/all"], "No such file or directory"),
        ],
    )
    def test_wrong_options_are_told(self, desk: BatchDesk, arguments: list[str], words: str) -> None:
        """As wrong usage; nothing is stored, and no entry is written."""
        done = desk.run("submit", *arguments)
        assert done.exit_code == 2
        assert words in done.stderr.replace("\n", " ")
        assert (desk.engine.batches.running(), desk.engine.audit.trails()) == (0, [])

    def test_a_day_that_is_not_retained_is_refused(self, desk: BatchDesk) -> None:
        """As by the API."""
        done = desk.run("submit", "--all", "--as-of", "2020-01-01")
        assert (done.exit_code, "Error: as_of: must lie within the 90 days" in done.stderr) == (1, True)


class TestResults:
    """``mastery batch results``."""

    def test_each_format_has_every_student(self, desk: BatchDesk) -> None:
        """NDJSON unless another is asked for."""
        desk.compute(desk.submit("b-1", all=True))
        lines = desk.run("results", "b-1").stdout.splitlines()
        array = json.loads(desk.run("results", "b-1", "--format", "json").stdout)
        table = list(
            csv.DictReader(io.StringIO(desk.run("results", "b-1", "--format", "csv").stdout_bytes.decode(), newline=""))
        )
        assert [json.loads(line) for line in lines] == array
        assert [each["student_id"] for each in array] == [each["student_id"] for each in table] == ["s-0", "s-1", "s-2"]
        assert [str(each["score"]) for each in array] == [each["score"] for each in table]

    def test_a_file_is_readable_by_its_owner_only(self, desk: BatchDesk, tmp_path: Path) -> None:
        """Standard output stays empty. A file that cannot be written is an error."""
        desk.compute(desk.submit("b-1", all=True))
        path = tmp_path / "results.csv"
        done = desk.run("results", "b-1", "--format", "csv", "--output", str(path))
        assert (done.exit_code, done.output, len(path.read_text().splitlines())) == (0, "", 4)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        refused = desk.run("results", "b-1", "--output", str(tmp_path / "nowhere" / "results"))
        assert (refused.exit_code, "No such file or directory" in refused.stderr) == (1, True)

    def test_a_batch_that_runs_has_no_results_yet(self, desk: BatchDesk) -> None:
        """The command says how far it is, and what waits for it."""
        desk.submit("b-1", students=["s-0"])
        done = desk.run("results", "b-1")
        assert (done.exit_code, done.stdout) == (1, "")
        assert "Error: the batch still runs: 0 of 1 students are done; `mastery batch watch` waits until it ends" in done.stderr

    def test_without_an_entry_nothing_is_shown_or_changed(self, desk: BatchDesk) -> None:
        """Every command prints an error."""
        desk.compute(desk.submit("b-1", all=True))
        runs = desk.submit("b-2", all=True)
        desk.engine.redis.set(f"{desk.engine.settings.key_prefix}:{{t-1}}:audit", "in the way")
        for command in (
            ("submit", "--all", "--batch-id", "b-3"),
            ("watch", "b-1"),
            ("results", "b-1"),
            ("cancel", "b-2"),
            ("list",),
        ):
            done = desk.run(*command)
            assert (done.exit_code, done.stdout) == (1, ""), command
            assert "Error: audit trail cannot be written" in done.stderr
        assert desk.engine.batches.read(runs).status is BatchStatus.QUEUED
        assert "no such batch" in str(desk.run("watch", "b-3").stderr)


class TestCancel:
    """``mastery batch cancel``."""

    def test_what_is_computed_stays(self, desk: BatchDesk) -> None:
        """Cancelling twice is no error; an ended batch cannot be cancelled."""
        students = [{"student_id": f"s-{number}", "components": {"quiz": 1.0}} for number in range(300)]
        desk.step(desk.submit("b-1", students=students))
        for _ in range(2):
            done = desk.run("cancel", "b-1")
            assert (done.exit_code, done.stdout) == (0, "cancelled: 250 students were computed, and their results stay\n")
        assert deeds(desk.engine, "t-1") == [("batch.cancel", {"batch_id": "b-1"})] * 2
        assert len(desk.run("results", "b-1").stdout.splitlines()) == 250
        watched = desk.run("watch", "b-1")
        assert (watched.exit_code, "300; 250 succeeded, 0 failed, 50 not computed\n" in watched.stdout) == (6, True)
        desk.compute(desk.submit("b-2", all=True))
        refused = desk.run("cancel", "b-2")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "Error: the batch has ended already: succeeded" in refused.stderr


class TestList:
    """``mastery batch list``."""

    def test_it_is_a_table_of_the_newest(self, desk: BatchDesk) -> None:
        """With how far each is. The entry names no batch."""
        desk.compute(desk.submit("b-1", all=True))
        desk.submit("b-2", cohort_id="c-1")
        desk.submit("b-3", students=["s-0", "s-1"])
        done = desk.run("list")
        rows = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("b-")]
        assert [[row[0], *row[3:5]] for row in rows] == [
            *(["b-3", "queued", "normal"], ["b-2", "queued", "normal"], ["b-1", "succeeded", "normal"])
        ]
        assert [row[-3:] for row in rows] == [["2", "0", "0"], ["-", "0", "0"], ["3", "3", "0"]]
        assert done.stdout.endswith("\n3 batches\n")
        limited = desk.run("list", "--limit", "1")
        assert "b-2" not in limited.stdout
        assert limited.stdout.endswith("1 batch; there are more, --limit shows them\n")
        assert deeds(desk.engine, "t-1") == [("batch.list", {})] * 2


@pytest.mark.parametrize("command", ["watch", "results", "cancel"])
def test_unknown_ids_and_tenants_are_told_apart(desk: BatchDesk, command: str) -> None:
    """A misspelt tenant has an exit code of its own, as in other commands."""
    unknown = desk.run(command, "nosuch")
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: no such batch, or it has been removed\n")
    for arguments in ((command, "nosuch"), ("list",), ("submit", "--all")):
        done = desk.run(*arguments, "--tenant", "elsewhere")
        assert (done.exit_code, done.stderr) == (3, "elsewhere: there is no such tenant\n")
    assert desk.run(command, "a/b").exit_code == 2
    assert desk.engine.audit.trails() == []


def test_a_tenant_without_events_may_have_batches(desk: BatchDesk) -> None:
    """The API computes given components for any tenant."""
    desk.submit("b-1", students=[{"student_id": "s-9", "components": {"quiz": 1.0}}])
    desk.engine.redis.delete(f"{desk.engine.settings.key_prefix}:tenants")
    desk.compute(BatchKey("t-1", "b-1"))
    assert desk.run("watch", "b-1").exit_code == 0


def test_an_unavailable_redis_is_a_message(desk: BatchDesk) -> None:
    """With an exit code."""
    desk.environment["MASTERY_REDIS_URL"] = "redis://127.0.0.1:9/0"
    for command in (("submit", "--all"), ("watch", "b-1"), ("results", "b-1"), ("cancel", "b-1"), ("list",)):
        done = desk.run(*command)
        assert (done.exit_code, "Error: redis is unavailable" in done.stderr) == (1, True)
