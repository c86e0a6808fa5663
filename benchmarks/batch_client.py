"""A tenant full of students, and a client that submits batches about them over HTTP, like an admin."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from random import Random
from threading import Barrier, Thread
from threading import Event as Flag
from typing import Any, NamedTuple

import requests

from app.batches.batch import BatchKey
from app.events.record_events import record_events
from benchmarks.workload import TENANT, Kind, event, noon
from tests.stack import Stack

# Evidence of each student: an event every fourth day of the last month, of a random type.
EVENTS, DAYS_BETWEEN = 8, 4
COHORT_STUDENTS, FILL_STUDENTS = 1_000, 500
POLL_SECONDS, END_SECONDS = 0.005, 300.0
LOOK_SECONDS = 1.0  # at batches in the background, as the API's Retry-After says: asking more often would cost others, too


class Submitted(NamedTuple):
    """A batch: its id, the moment before its POST, and the seconds until the 202."""

    batch_id: str
    began: float
    accepted: float


class BatchClient:
    """Submits batches of a stack, and waits for them."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._url = f"{stack.running.http_url}/batch/mastery"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {stack.token(tenant=TENANT)}"

    def submit(self, students: int | None, priority: str = "normal") -> Submitted:
        """Submit a batch of so many listed students, or of all."""
        whom: dict[str, Any] = {"all": True} if students is None else {"students": [student(each) for each in range(students)]}
        began = time.perf_counter()
        answer = self._session.post(self._url, json={**whom, "compute": "mastery", "priority": priority}, timeout=END_SECONDS)
        accepted = time.perf_counter() - began
        answer.raise_for_status()
        return Submitted(answer.json()["data"]["batch_id"], began, accepted)

    def state(self, batch_id: str) -> dict[str, Any]:
        """What the batch's state is."""
        return self._get(f"/{batch_id}")

    def wait(self, batch: Submitted) -> tuple[dict[str, Any], float]:
        """Poll until the batch has ended, and read its last result.

        Returns:
            Its state, and the seconds from its POST until then.

        Raises:
            AssertionError: it did not succeed.
        """
        while (state := self.state(batch.batch_id))["finished_at"] is None:
            time.sleep(POLL_SECONDS)
        page = self._get(f"/{batch.batch_id}/results?cursor={state['total'] - 1}")
        seconds = time.perf_counter() - batch.began
        if state["status"] != "succeeded" or len(page["results"]) != 1:
            raise AssertionError(f"the batch did not succeed: {state}")
        return state, seconds

    def forget(self, batch: Submitted) -> None:
        """Remove a batch that has ended, so that memory and quota do not limit how often a benchmark repeats one."""
        key, batches = BatchKey(TENANT, batch.batch_id), self._stack.engine.batches
        found = batches.read(key)
        batches.delete(key, found.finished or found.created)

    def cancel(self, batch: Submitted) -> int:
        """Cancel a batch and remove it. Returns how many students it had computed."""
        self._session.delete(f"{self._url}/{batch.batch_id}", timeout=END_SECONDS)  # 409 if it has ended already
        computed = int(self.state(batch.batch_id)["succeeded"])
        self.forget(batch)
        return computed

    def run(self, students: int | None, priority: str = "normal") -> tuple[dict[str, Any], float]:
        """Submit a batch, wait for it, and remove it. Returns its state and the seconds it took."""
        batch = self.submit(students, priority)
        done = self.wait(batch)
        self.forget(batch)
        return done

    def repeat(self, priority: str, begun: Barrier, stopped: Flag) -> int:
        """Run batches of all students, one after another, until ``stopped``. Returns the number of students they computed."""
        computed, batch = 0, self.submit(None, priority)
        begun.wait()
        while not stopped.wait(LOOK_SECONDS):
            if self.state(batch.batch_id)["finished_at"] is not None:
                computed += self.wait(batch)[0]["total"]
                self.forget(batch)
                batch = self.submit(None, priority)
        return computed + self.cancel(batch)

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._session.get(self._url + path, timeout=END_SECONDS)
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data


def student(number: int) -> str:
    """The id of a student."""
    return f"student-{number:06}"


def fill_tenant(stack: Stack, students: int, tenant: str = TENANT) -> None:
    """Give a tenant its students, with evidence."""
    chance, now, kinds = Random(10), stack.engine.clock(), list(Kind)
    for first in range(0, students, FILL_STUDENTS):
        events = [
            event(
                chance,
                student(number),
                noon(_day(now, age)),
                chance.choice(kinds),
                f"cohort-{number // COHORT_STUDENTS}",
                tenant,
            )
            for number in range(first, first + FILL_STUDENTS)
            for age in range(1, EVENTS * DAYS_BETWEEN, DAYS_BETWEEN)
        ]
        record_events(events, stores=stack.engine.mastery, now=now)


def _day(now: datetime, age: int) -> date:
    return now.date() - timedelta(days=age)


@contextmanager
def batches_running(stack: Stack, priority: str) -> Iterator[list[int]]:
    """Keep batches of all students running within the context: two, so that one runs while the other ends and starts anew.

    Fails if one does not succeed.

    Yields:
        A list whose only item is, after the context, the number of students that they computed.
    """
    stopped, computed, begun = Flag(), [0], Barrier(3, timeout=END_SECONDS)
    failures: list[AssertionError] = []

    def keep() -> None:
        client = BatchClient(stack)
        try:
            computed[0] += client.repeat(priority, begun, stopped)
        except AssertionError as error:
            failures.append(error)

    threads = [Thread(target=keep) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.wait()
    try:
        yield computed
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
