"""Batches for tests: computed in this process as tasks do, or awaited on a stack."""

from typing import Any

from app.batches.batch import BatchKey
from tests.batch_tasks import run_task
from tests.integration.conftest import FixedTimeApi, LiveApi
from tests.stack import wait_for

BATCHES = "/batch/mastery"
END_SECONDS = 60.0


def compute(api: FixedTimeApi, batch_id: str, steps: int = 1000, tenant: str = "t-1") -> None:
    """Compute a batch, or some steps of it, on the engine of the API."""
    for number in range(steps):
        if not run_task(api.engine, BatchKey(tenant, batch_id), f"task-{number}").goes_on:
            return


def submit(api: FixedTimeApi, batch_id: str = "b-1", **body: Any) -> dict[str, Any]:
    """Submit a batch as an admin, which must be accepted. Returns the answer's data."""
    answer = api.post(BATCHES, {"compute": "mastery", "batch_id": batch_id, **body})
    assert answer.status_code == 202, answer.text
    data: dict[str, Any] = answer.get_json()["data"]
    return data


def ended(api: LiveApi, batch_id: str, **caller: Any) -> dict[str, Any]:
    """The state of a batch on a stack, once it has ended."""

    def state() -> dict[str, Any]:
        answer = api.get(f"{BATCHES}/{batch_id}", **caller)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    wait_for(lambda: state()["finished_at"] is not None, END_SECONDS)
    return state()
