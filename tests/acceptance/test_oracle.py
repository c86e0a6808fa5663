"""Real events through the real path give what the oracle says, whatever their order and however often they come.

433,060 events of the Open University Learning Analytics Dataset go through a Kafka broker, the bridge and worker processes into
Valkey, and every student is asked for over HTTP. The expected values were computed by the reference, from all events in memory.
"""

import csv
import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from app.analytics.changes import Cause
from app.analytics.explain_changes import explain_changes
from app.errors import NotFound
from app.events.event_totals import Totals
from app.mastery.query_mastery import query_mastery
from app.mastery.rankings import Metric
from tests.stack import Stack, UnmeasuredStack, wait_for

EVENTS = 433_060
WITHIN_90_DAYS = 78_268
DAYS_BEFORE = (7, 30, 60)
COMPONENTS = ("completion", "quiz", "quality", "consistency")


@pytest.fixture(scope="module")
def events(shared_data: Path) -> Path:
    return shared_data / "oulad_dev.ndjson.gz"


@pytest.fixture(scope="module")
def expected(shared_data: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (shared_data / "oulad_dev_mastery_90d.csv").open() as file:
        return {(row["tenant_id"], row["student_id"]): row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with UnmeasuredStack(tmp_path_factory.mktemp("oracle")) as running:
        yield running


def as_of() -> date:
    """The oracle's day, 2026-10-29, shifted like the events: the newest are from yesterday."""
    return datetime.now(UTC).date()


def totals(stack: Stack) -> Totals:
    every = [stack.engine.event_totals.of(tenant) for tenant in stack.engine.mastery.tenants.all()]
    return Totals(*(sum(counts) for counts in zip(*every, strict=True)))


def facts(stack: Stack) -> dict[bytes, Any]:
    """All students' facts as stored, without fields that depend on how they were written."""
    redis = stack.engine.redis
    return {key: redis.hgetall(key) for key in redis.scan_iter("mastery:{*}:student:*", count=1000)}


def ask(stack: Stack, students: list[tuple[str, str]], on: date) -> list[dict[str, Any]]:
    tokens = {tenant: stack.token(tenant=tenant) for tenant, _ in students}
    with requests.Session() as session, ThreadPoolExecutor(8) as threads:

        def query(who: tuple[str, str]) -> dict[str, Any]:
            tenant, student = who
            body = {"student_id": student, "date": on.isoformat()}
            answer = session.post(
                f"{stack.running.http_url}/mastery/query",
                json=body,
                headers={"Authorization": f"Bearer {tokens[tenant]}"},
                timeout=30,
            )
            assert answer.status_code == 200, answer.text
            data: dict[str, Any] = answer.json()["data"]
            return data

        return list(threads.map(query, students))


def assert_equal_to_oracle(answers: list[dict[str, Any]], expected: dict[tuple[str, str], dict[str, str]]) -> None:
    for row, data in zip(expected.values(), answers, strict=True):
        for component in COMPONENTS:
            told = data["components"][component]
            assert (row[component] == "") == (told is None), (component, data)
            assert told is None or told == pytest.approx(float(row[component]), abs=1e-6)
        assert data["coverage"] == pytest.approx(float(row["coverage"]), abs=1e-6)
        assert data["score"] == pytest.approx(float(row["mastery_score"]), abs=1e-6)
        assert data["level"] == row["level"]
        assert data["cohort_id"] == row["cohort_id"]


def assert_statistics_are_of(stack: Stack, answers: list[dict[str, Any]], students: list[tuple[str, str]]) -> None:
    """The rankings by metric, and their sums, are those of the queries' answers to the last digit."""
    values: defaultdict[tuple[str, str, Metric], list[int]] = defaultdict(list)
    for (tenant, _student), told in zip(students, answers, strict=True):
        for metric, score in {"mastery": told["score"], **told["components"]}.items():
            if score is not None:
                values[tenant, told["cohort_id"], Metric(metric)].append(round(score * 1_000_000))
    rankings = stack.engine.mastery.rankings
    for (tenant, cohort, metric), of_queries in values.items():
        assert rankings.values(tenant, cohort, metric) == sorted(of_queries)
        read = rankings.read(tenant, cohort, [metric]).by_metric[metric]
        assert (read.total, read.squares) == (sum(of_queries), sum(value * value for value in of_queries))
    assert {metric for _tenant, _cohort, metric in values} == set(Metric)


def assert_batches_equal_queries(stack: Stack, answers: dict[tuple[str, str], dict[str, Any]], on: date) -> None:
    """A batch over all students of each tenant gives what a query gives for each of them, to the last digit."""
    url = f"{stack.running.http_url}/batch/mastery"
    for tenant in {tenant for tenant, _ in answers}:
        headers = {"Authorization": f"Bearer {stack.token(tenant=tenant)}"}
        accepted = requests.post(
            url, json={"compute": "mastery", "all": True, "as_of": on.isoformat()}, headers=headers, timeout=30
        )
        assert accepted.status_code == 202, accepted.text
        batch = f"{url}/{accepted.json()['data']['batch_id']}"
        wait_for(lambda: requests.get(batch, headers=headers, timeout=30).json()["data"]["status"] == "succeeded", 60)  # noqa: B023 - called at once
        lines = requests.get(f"{batch}/results", headers=headers | {"Accept": "application/x-ndjson"}, timeout=30).text
        results = [json.loads(line) for line in lines.splitlines()]
        expected = {student: answer for (asked, student), answer in answers.items() if asked == tenant}
        assert {result["student_id"]: result for result in results} == expected
        assert len(results) == len(expected)


def assert_changes_add_up(stack: Stack, students: list[tuple[str, str]]) -> None:
    """For each student, the parts of a change are the difference of two queries' scores, and no part is missing."""
    stores, now, kinds = stack.engine.mastery, stack.engine.clock(), set()
    for tenant, student in students:
        current = query_mastery(tenant, student, stores=stores, now=now)
        for ago in DAYS_BEFORE:
            since = now.date() - timedelta(days=ago)
            try:
                earlier = query_mastery(tenant, student, stores=stores, now=now, on=since).score
            except NotFound:
                earlier = 0.0
            told = explain_changes(tenant, student, stores=stores, now=now, since=since)
            parts = [part for change in told.components.values() for part in change.parts]
            assert sum(part.amount for part in parts) == pytest.approx(current.score - earlier, abs=1e-9)
            assert (told.score_then, told.score_now) == (earlier, current.score)
            kinds |= {(part.cause, part.amount == 0) for part in parts}
    assert kinds >= {(cause, False) for cause in Cause}


def test_first_pass_second_pass_and_shuffled(
    stack: Stack, events: Path, expected: dict[tuple[str, str], dict[str, str]], tmp_path: Path
) -> None:
    """Every student's mastery equals the oracle's; a second pass changes nothing; a shuffled copy gives the same."""
    day = as_of()
    stack.mastery("replay", str(events), "--shift-to-now")
    assert totals(stack) == Totals(applied=WITHIN_90_DAYS, duplicates=0, expired=EVENTS - WITHIN_90_DAYS)
    assert len(expected) == 4081
    answers = ask(stack, list(expected), day)
    assert_equal_to_oracle(answers, expected)
    ranked = {
        (tenant, student): score
        for tenant in stack.engine.mastery.tenants.all()
        for cohort in stack.engine.mastery.scores.cohorts(tenant)
        for student, score in stack.engine.mastery.scores.ranking(tenant, cohort)
    }
    assert ranked == {who: pytest.approx(float(row["mastery_score"]), abs=1e-6) for who, row in expected.items()}

    assert_statistics_are_of(stack, answers, list(expected))
    assert_changes_add_up(stack, list(expected))
    assert_batches_equal_queries(stack, dict(zip(expected, answers, strict=True)), day)

    before = facts(stack)
    stack.mastery("replay", str(events), "--shift-to-now")
    assert facts(stack) == before
    assert totals(stack) == Totals(WITHIN_90_DAYS, duplicates=WITHIN_90_DAYS, expired=2 * (EVENTS - WITHIN_90_DAYS))

    shuffled = tmp_path / "shuffled.ndjson"
    lines = gzip.decompress(events.read_bytes()).splitlines(keepends=True)
    random.Random(20261122).shuffle(lines)
    shuffled.write_bytes(b"".join(lines))
    with UnmeasuredStack(tmp_path / "shuffled-stack") as other:
        other.mastery("replay", str(shuffled), "--shift-to-now")
        assert totals(other) == Totals(WITHIN_90_DAYS, 0, EVENTS - WITHIN_90_DAYS)
        assert_equal_to_oracle(ask(other, list(expected), day), expected)
    assert day == as_of(), "the day changed while the test ran: run it again"
