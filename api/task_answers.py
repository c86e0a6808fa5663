"""Answers computed by a task: awaited, or answered with 202 and polled at GET /tasks/{id}."""

from threading import BoundedSemaphore
from typing import Any, cast
from uuid import uuid4

from flask import Flask, Response, current_app, request, url_for
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate
from werkzeug.http import parse_set_header

from api.access import performs, require_students
from api.authentication import engine, principal
from api.examples import TASK_ID
from api.request_context import context
from api.responses import envelope, success
from app.consent.require_consent import require_consent
from app.errors import ConsentWithdrawn, InvalidInput, NotFound
from app.purposes import Purpose
from app.security.access import Action, require_owner
from app.security.task_requests import TaskRequest
from tasks.celery import enqueue
from tasks.results import TaskState, TaskStatus, await_task, task_state
from tasks.timing import RESULTS_KEPT

POLL_AFTER_SECONDS = "1"
_WAITERS = "task-waiters"

# For the OpenAPI document of routes whose answer a task computes.
PREFER = {
    "in": "header",
    "name": "Prefer",
    "schema": {"type": "string"},
    "description": "`respond-async` asks for 202 at once (RFC 7240)",
}
TASK_HEADERS = {
    "Location": {"schema": {"type": "string"}, "description": "Where to poll for the answer"},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before that"},
}

blueprint = Blueprint("tasks", __name__, url_prefix="/tasks", description="Answers that take longer than a request")


class Task(Schema):
    task_id = fields.UUID(required=True)
    status = fields.String(required=True, validate=validate.OneOf([status.value for status in TaskStatus]))
    result = fields.Raw(metadata={"description": "If it succeeded: the data that the request would have returned"})
    reason = fields.String(metadata={"description": "If it failed: the reason"})


TaskAnswer = envelope(Task)


@blueprint.get("/<uuid:task_id>", parameters=[{"name": "task_id", "in": "path", "example": TASK_ID}])
@performs(Action.READ_TASK)
@blueprint.response(200, TaskAnswer)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="getTask")
def get_task(task_id: Any) -> Response:
    """The state of a task; for its requester, if they may still see the student, and for admins"""
    caller = principal()
    task_request = engine().task_requests.of(caller.tenant, str(task_id))
    require_owner(caller, Action.READ_TASK, task_request.owner)
    require_students(task_request.student_ids)  # they may have left the teacher's cohorts meanwhile
    if task_request.purpose is not None:  # consent may have been withdrawn meanwhile
        for student_id in task_request.student_ids:
            require_consent(caller.tenant, student_id, task_request.purpose, consents=engine().consents)
    state = task_state(str(task_id))
    body: dict[str, Any] = {"task_id": str(task_id), "status": state.status}
    match state.status:
        case TaskStatus.SUCCEEDED:
            body["result"] = state.result
        case TaskStatus.FAILED:
            body["reason"] = _reason(state)
        case TaskStatus.PENDING:
            pass
    return success(body)


def register_waiters(app: Flask) -> None:
    """Limit how many threads wait for tasks, so that the others still answer while the workers hang."""
    settings = app.extensions["engine"].settings
    app.extensions[_WAITERS] = BoundedSemaphore(min(settings.calculate_waiters, settings.http_threads - 1))


def answer_of(task: Any, *arguments: Any, purpose: Purpose | None = None) -> Response:
    """Enqueue a task and answer with its result. If it has a purpose, whoever fetches the result later needs consent to it.

    Raises the task's exception, if the task fails in time.

    Returns:
        200 with the result if it is available in time. Otherwise 202 with the task's location; at once if the caller prefers
        that, or too many threads wait already.
    """
    caller = principal()
    task_id, task_request = str(uuid4()), TaskRequest(caller.identity, context().data_subjects, purpose)
    engine().task_requests.remember(caller.tenant, task_id, task_request, int(RESULTS_KEPT.total_seconds()))
    enqueue(task, *arguments, task_id=task_id)
    prefers_async = "respond-async" in parse_set_header(request.headers.get("Prefer"))
    if not prefers_async:
        state = _state_in_time(task_id)
        match state.status:
            case TaskStatus.SUCCEEDED:
                return success(state.result)
            case TaskStatus.FAILED:
                raise state.result
            case TaskStatus.PENDING:
                pass
    headers = {"Location": url_for("tasks.get_task", task_id=task_id), "Retry-After": POLL_AFTER_SECONDS}
    if prefers_async:
        headers["Preference-Applied"] = "respond-async"
    return success({"task_id": task_id, "status": TaskStatus.PENDING}, 202, headers)


def _state_in_time(task_id: str) -> TaskState:
    """The task's state when it ends or after the maximum wait; the current state if too many threads wait already."""
    waiters = cast("BoundedSemaphore", current_app.extensions[_WAITERS])
    if not waiters.acquire(blocking=False):
        return task_state(task_id)
    try:
        return await_task(task_id, engine().settings.calculate_wait_seconds)
    finally:
        waiters.release()


def _reason(state: TaskState) -> str:
    if isinstance(state.result, NotFound | ConsentWithdrawn | InvalidInput):
        return str(state.result)
    return "the service failed; its operators can find the cause by the task's id"
