"""The routes under /batch/mastery: submit, list, watch, read and cancel batches."""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import msgspec
from flask import Response, url_for
from marshmallow import RAISE
from msgspec import structs, to_builtins

from api.access import performs
from api.authentication import engine, principal
from api.batch_answers import shown_batch
from api.batch_schemas import (
    FAILED,
    AcceptedBatch,
    BatchBody,
    BatchesQuery,
    BatchPage,
    BatchState,
    ResultsPage,
    ResultsQuery,
)
from api.body_limits import takes_a_list
from api.examples import BATCH, BATCH_ID
from api.fields import OPENAPI_IDENTIFIER
from api.idempotency import IDEMPOTENCY_KEY, REPLAYED_HEADER, Packing, idempotent
from api.media_types import CSV, JSON, NDJSON, accepted, also_text
from api.parsing import JsonBlueprint
from api.request_audit import actor, details, set_data_subjects
from api.responses import ErrorCode, Failure, correlation_id, envelope, failure, success
from api.use_cases import use_case
from app.audit.entry import Channel, entry
from app.batches.batch import Batch, BatchKey, BatchStatus, Kind, Priority
from app.batches.batch_errors import BatchTaken, ErasedMeanwhile, OverBatchQuota, TooManyBatches
from app.batches.batch_kinds import Row
from app.batches.batch_results import all_results, result_page, sees_every_result
from app.batches.result_lines import csv_lines, ndjson_lines, result_object
from app.batches.submit_batch import BatchRequest, Submitted, check_callback, stored_batch, submit_batch
from app.batches.summarize_batch import with_current_summary, without_outdated_summary
from app.config.batch_settings import networks
from app.mastery.formula import DEFAULT_WEIGHTS, Weights, check_weights
from app.roles import Role
from app.security.access import Action, require_owner
from tasks.batches import start

POLL_AFTER_SECONDS = "1"
QUOTA_RETRY_AFTER_SECONDS = "60"  # room comes when an old batch is removed

blueprint = JsonBlueprint("batches", __name__, url_prefix="/batch/mastery", description="Mastery of many students")
_PATH = {"name": "batch_id", "in": "path", "schema": {"type": "string", "pattern": OPENAPI_IDENTIFIER}, "example": BATCH_ID}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "While it runs: seconds to wait before asking again"}}
_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where to ask for its state"}}
BatchStateAnswer = envelope(BatchState)


@blueprint.errorhandler(BatchTaken)
def taken(_error: BatchTaken) -> Response:
    """The id belongs to a batch of another request."""
    reasons = {"batch_id": ["is the id of a batch of another request"]}
    return failure(409, ErrorCode.CONFLICT, "There is a batch with this id, of another request.", reasons)


@blueprint.errorhandler(OverBatchQuota)
def too_many(error: OverBatchQuota) -> Response:
    """The tenant's quota of students in stored batches is used up."""
    headers = {"Retry-After": QUOTA_RETRY_AFTER_SECONDS}
    reasons = {"tenant_id": [str(error)]}
    return failure(429, ErrorCode.RATE_LIMITED, "The tenant's quota of students in batches is used up.", reasons, headers)


@blueprint.errorhandler(TooManyBatches)
def too_many_run(error: TooManyBatches) -> Response:
    """As many batches of the tenant run as its quota allows."""
    headers, reasons = {"Retry-After": POLL_AFTER_SECONDS}, {"tenant_id": [str(error)]}
    return failure(429, ErrorCode.RATE_LIMITED, "Too many batches of the tenant run.", reasons, headers)


@blueprint.errorhandler(ErasedMeanwhile)
def erased_meanwhile(_error: ErasedMeanwhile) -> Response:
    """Students of the tenant were erased each time that the listed ones were checked."""
    message, headers = "Students of the tenant are being erased; try again.", {"Retry-After": POLL_AFTER_SECONDS}
    return failure(503, ErrorCode.SERVICE_UNAVAILABLE, message, headers=headers)


@blueprint.post("")
@takes_a_list
@use_case(blueprint, Action.CREATE_BATCH, BatchBody(), examples=BATCH)
@blueprint.response(
    202, envelope(AcceptedBatch), description="Tasks compute it: ask at Location", headers=_LOCATION | _RETRY | REPLAYED_HEADER
)
@blueprint.alt_response(409, schema=Failure, description="The batch_id is taken, or the Idempotency-Key is in use")
@blueprint.doc(operationId="createBatch", parameters=[IDEMPOTENCY_KEY])
def create(body: dict[str, Any]) -> Response:
    """A batch of mastery calculations, for listed students, a cohort or all"""
    answer = _create(body)
    if answer.status_code == 202:
        data = answer.get_json()["data"]  # a stored answer has it, too
        details(batch_id=data["batch_id"])
        answer.headers["Location"] = url_for("batches.read", batch_id=data["batch_id"])
        answer.headers["Retry-After"] = POLL_AFTER_SECONDS
    return answer


def _kept(data: dict[str, Any]) -> str:
    """The id: the store has the rest, and callers cannot fill the answers for keys with rejected students."""
    batch_id: str = data["batch_id"]
    return batch_id


def _restored(batch_id: str, body: dict[str, Any]) -> dict[str, Any]:
    return _accepted(batch_id, body, stored_batch(BatchKey(principal().tenant, batch_id), engine().batches))


@idempotent(Packing(_kept, _restored))
def _create(body: dict[str, Any]) -> Response:
    caller, served = principal(), engine()
    key = BatchKey(caller.tenant, body.get("batch_id") or str(uuid4()))
    wanted = BatchRequest(
        batch_id=key.batch_id,
        body=msgspec.json.encode(body, order="deterministic"),
        weights=check_weights(Weights(**{**DEFAULT_WEIGHTS._asdict(), **body.get("weights", {})})),
        students=body.get("students"),
        cohort_id=body.get("cohort_id"),
        all=body.get("all", False),
        kind=Kind(body["compute"]),
        priority=Priority(body["priority"]),
        on=body.get("as_of"),
        callback_url=body.get("callback_url", ""),
        threshold=served.settings.intervention_threshold,
    )
    if wanted.callback_url:
        networks_allowed = networks(served.settings.callback_private_networks)
        check_callback(wanted.callback_url, caller.tenant, secrets=served.webhook_secrets, private_networks=networks_allowed)
    signed = served.audit.actor_signer.sign([caller.tenant, Action.CREATE_BATCH, key.batch_id], actor(caller), correlation_id())
    stored = submit_batch(wanted, caller, signed, stores=served.mastery, batches=served.batches, now=served.clock())
    if stored.is_new:
        start(key, wanted.priority, stored.total)
    return success(_accepted(key.batch_id, body, stored), 202)


def _accepted(batch_id: str, body: dict[str, Any], stored: Submitted) -> dict[str, Any]:
    return {
        "batch_id": batch_id,
        "status": stored.status,
        "priority": body["priority"],
        "total": stored.total,
        "rejected": to_builtins(stored.rejected),
    }


@blueprint.get("")
@performs(Action.LIST_BATCHES)
@blueprint.arguments(BatchesQuery(), location="query", unknown=RAISE)
@blueprint.response(200, envelope(BatchPage))
@blueprint.doc(operationId="listBatches")
def list_own(query: dict[str, Any]) -> Response:
    """The caller's own batches"""
    who = principal()
    before = int(query["cursor"]) if "cursor" in query else None
    batches, following = engine().batches.of_owner(who.tenant, who.identity, before=before, limit=query["limit"])
    if who.role is Role.ADMIN:
        batches = without_outdated_summary(who.tenant, batches, consents=engine().consents)
    else:  # it would have to be checked for each batch whether a teacher may still see all of its students
        batches = [structs.replace(batch, summary=None) for batch in batches]
    shown = [shown_batch(batch) for batch in batches]
    return success({"batches": shown, "next": None if following is None else str(following)})


@blueprint.get("/<identifier:batch_id>", parameters=[_PATH])
@performs(Action.READ_BATCH)
@blueprint.response(200, BatchStateAnswer, headers=_RETRY)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.doc(operationId="getBatch")
def read(batch_id: str) -> Response:
    """How far a batch is; for its owner and admins"""
    return _answer(_own(batch_id, Action.READ_BATCH))


@blueprint.delete("/<identifier:batch_id>", parameters=[_PATH])
@performs(Action.CANCEL_BATCH)
@blueprint.response(200, BatchStateAnswer)
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.alt_response(409, schema=Failure, description="It has ended already")
@blueprint.doc(operationId="cancelBatch")
def cancel(batch_id: str) -> Response:
    """Cancel what a batch has not computed yet; the results that it has stay"""
    key = BatchKey(principal().tenant, _own(batch_id, Action.CANCEL_BATCH).batch_id)
    engine().batches.end(key, BatchStatus.CANCELLED, reason="it was cancelled")
    batch = engine().batches.read(key)
    if batch.status is not BatchStatus.CANCELLED:
        return failure(409, ErrorCode.CONFLICT, f"The batch has ended already: {batch.status}.")
    return _answer(batch)


@blueprint.get("/<identifier:batch_id>/results", parameters=[_PATH])
@performs(Action.READ_BATCH_RESULTS)
@blueprint.arguments(ResultsQuery(), location="query", unknown=RAISE)
@blueprint.response(200, envelope(ResultsPage), headers=_RETRY, description="By `Accept`: a page; or all as NDJSON or CSV")
@blueprint.alt_response(404, response="NOT_FOUND")
@blueprint.alt_response(409, schema=Failure, description="NDJSON and CSV have all results, and the batch still runs")
@blueprint.doc(operationId="getBatchResults", responses={200: also_text(NDJSON, CSV)})
def results(query: dict[str, Any], batch_id: str) -> Response:
    """The results of a batch, of students whom the caller may see"""
    batch = _own(batch_id, Action.READ_BATCH_RESULTS)
    only_failed = query.get("which") == FAILED
    kind = accepted(NDJSON, CSV)
    if kind != JSON:
        return _stream(batch, kind, only_failed=only_failed)
    served = engine()
    page = result_page(
        batch,
        principal(),
        batches=served.batches,
        facts=served.mastery.facts,
        consents=served.consents,
        start=int(query.get("cursor", "0")),
        limit=query["limit"],
        only_failed=only_failed,
    )
    set_data_subjects(*(row.student_id for row in page.rows))
    shown = [result_object(batch.order, row) for row in page.rows]
    following = None if page.next is None else str(page.next)
    return success({"results": shown, "next": following}, 200, _retry_after(batch))


def _stream(batch: Batch, kind: str, *, only_failed: bool) -> Response:
    """All results, some at a time. Each part is in the audit trail before it is sent."""
    if not batch.status.is_final:
        message = "The batch still runs; ask for JSON to read what it has."
        return failure(409, ErrorCode.CONFLICT, message, headers=_retry_after(batch))
    served, caller = engine(), principal()
    parts = all_results(
        batch,
        caller,
        batches=served.batches,
        facts=served.mastery.facts,
        consents=served.consents,
        only_failed=only_failed,
    )
    audited = _audited(parts, batch)
    if kind == CSV:
        headers = {"Content-Disposition": f'attachment; filename="{batch.batch_id}.csv"'}
        return Response(csv_lines(batch.order, audited), 200, headers, mimetype=CSV)
    return Response(ndjson_lines(batch.order, audited), 200, mimetype=NDJSON)


def _audited(parts: Iterable[list[Row]], batch: Batch) -> Iterator[list[Row]]:
    """The parts, each after an audit entry about its students. Works after the request's context has ended."""
    served, caller, correlation = engine(), principal(), correlation_id()
    details(batch_id=batch.batch_id)
    who = actor(caller)

    def after_entry() -> Iterator[list[Row]]:
        for rows in parts:
            made = entry(
                served.clock(),
                Channel.API,
                who,
                Action.READ_BATCH_RESULTS,
                whose=[served.audit.pseudonym(caller.tenant, row.student_id) for row in rows],
                correlation_id=correlation,
                details={"batch_id": batch.batch_id},
            )
            served.audit.append(caller.tenant, made)
            yield rows

    return after_entry()


def _own(batch_id: str, action: Action) -> Batch:
    """A batch that the caller may see. Raises NotFound and AccessDenied."""
    caller = principal()
    batch = engine().batches.read(BatchKey(caller.tenant, batch_id))
    require_owner(caller, action, batch.order.owner)
    details(batch_id=batch_id)
    return batch


def _answer(batch: Batch) -> Response:
    caller, served = principal(), engine()
    key = BatchKey(caller.tenant, batch.batch_id)
    batch = with_current_summary(key, batch, batches=served.batches, consents=served.consents)
    if batch.summary and not sees_every_result(batch, caller, batches=served.batches, facts=served.mastery.facts):
        batch = structs.replace(batch, summary=None)
    return success(shown_batch(batch), 200, _retry_after(batch))


def _retry_after(batch: Batch) -> dict[str, str]:
    return {} if batch.status.is_final else {"Retry-After": POLL_AFTER_SECONDS}
