"""POST /mastery/ingest: learning events over HTTP, for producers without Kafka."""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

import msgspec
from flask import Request, Response, current_app, request
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from msgspec import Raw
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from api.access import performs
from api.authentication import engine, principal
from api.body_limits import takes_a_list
from api.examples import INGEST
from api.fields import RawList
from api.idempotency import IDEMPOTENCY_KEY, REPLAYED_HEADER, Packing, idempotent
from api.openapi import LEARNING_EVENT
from api.parsing import JsonBlueprint, StrictParser
from api.request_audit import set_data_subjects
from api.responses import ErrorCode, Failure, envelope, failure, success
from app.events.decode_by_field import replace_lone_surrogates
from app.events.event_log import EventLog
from app.events.event_quota import QuotaExceeded
from app.events.ingest_events import EventVerdict, claimed_id, ingest_events, read_claim
from app.security.access import Action

MAX_EVENTS = 500  # the default of MASTERY_CHUNK_EVENTS

ACCEPTED, REJECTED = "accepted", "rejected"

_fields = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])
# W3C Trace Context, section 3.2.2: version (not ff), trace id and parent id (not all zeros), flags.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

# For the OpenAPI document.
TRACEPARENT = {
    "in": "header",
    "name": "traceparent",
    "schema": {"type": "string"},
    "description": "Passed on with the events (W3C Trace Context); ignored if it is invalid",
}


class IngestParser(StrictParser):
    """Keeps each event as raw JSON, so that it is validated exactly as an event from Kafka."""

    def decode(self, req: Request) -> Any:
        if not req.is_json:
            raise UnsupportedMediaType
        try:
            return _raw_events(replace_lone_surrogates(req.get_data()))
        except msgspec.ValidationError:  # not an object, or no list of events: rejected by the schema
            return super().decode(req)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest from error


class IngestBlueprint(JsonBlueprint):
    """A blueprint whose bodies contain events."""

    ARGUMENTS_PARSER = IngestParser()


blueprint = IngestBlueprint("ingest", __name__, url_prefix="/mastery", description="Learning events over HTTP")


class EventField(fields.Raw):
    """An event as raw JSON; it is validated later, like an event from Kafka."""

    def __init__(self, **options: Any) -> None:
        description = "As on the topic `mastery.events`; `tenant_id` is optional, and must be the token's if given"
        super().__init__(
            metadata={"type": "object", "allOf": [{"$ref": LEARNING_EVENT}], "description": description}, **options
        )


class IngestBody(Schema):
    """One event, or several."""

    event = EventField()
    events = RawList(EventField(), validate=validate.Length(1, MAX_EVENTS))

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        if len(data) != 1:
            reasons = ["Give either event or events."]
            raise ValidationError({"event": reasons, "events": reasons})


class EventAnswer(Schema):
    index = fields.Integer(required=True, metadata={"description": "Position in the request, from 0"})
    event_id = fields.String(required=True, allow_none=True, metadata={"description": "As given in the event; null if missing"})
    status = fields.String(required=True, validate=validate.OneOf([ACCEPTED, REJECTED]))
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={
            "description": "Of a rejected event, the reasons by field; `event` for the event as a whole",
            "example": {"data.total_questions": ["Expected `int` >= 1"]},
        },
    )


class Ingested(Schema):
    accepted = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    events = fields.List(fields.Nested(EventAnswer), required=True)


@blueprint.errorhandler(QuotaExceeded)
def too_many(error: QuotaExceeded) -> Response:
    """The tenant's quota of events per minute is used up. The idempotency key is released, as a retry may succeed soon."""
    headers = {"Retry-After": str(error.seconds)}
    details = {"tenant_id": [str(error)]}
    return failure(429, ErrorCode.RATE_LIMITED, "The tenant's quota is used up for this minute.", details, headers)


def event_log() -> EventLog:
    """The log to which this application appends events."""
    return cast("EventLog", current_app.extensions["event_log"])


@blueprint.post("/ingest")
@performs(Action.INGEST_EVENTS)
@takes_a_list
@blueprint.arguments(IngestBody(), examples=INGEST)
@blueprint.response(202, envelope(Ingested), description="Kafka has confirmed the valid events", headers=REPLAYED_HEADER)
@blueprint.alt_response(409, schema=Failure, description="A request with this Idempotency-Key is being answered")
@blueprint.alt_response(503, schema=Failure, description="Kafka or Redis does not answer: try again after Retry-After seconds")
@blueprint.doc(operationId="ingestEvents", parameters=[IDEMPOTENCY_KEY, TRACEPARENT])
def ingest(body: dict[str, Any]) -> Response:
    """Learning events; each of them is accepted or rejected by itself"""
    elements: list[bytes] = body["events"] if "events" in body else [body["event"]]
    set_data_subjects(*_students(elements))  # all of them: after a failure, any may have been written
    answer = _take_over(elements, is_list="events" in body)
    if answer.status_code == 202:
        outcomes = answer.get_json()["data"]["events"]  # a stored answer has these, too
        set_data_subjects(*_students(elements[each["index"]] for each in outcomes if each["status"] == ACCEPTED))
    return answer


def _pack(data: dict[str, Any]) -> list[Any]:
    """The errors of each event. The repeated request's body has the rest."""
    return [each.get("errors") for each in data["events"]]


def _unpack(kept: list[Any], elements: Sequence[bytes], *, is_list: bool) -> dict[str, Any]:  # noqa: ARG001 - the view's arguments
    return _ingested(
        [
            _outcome(index, claimed_id(read_claim(element)), errors)
            for index, (element, errors) in enumerate(zip(elements, kept, strict=True))
        ]
    )


@idempotent(Packing(_pack, _unpack))
def _take_over(elements: Sequence[bytes], *, is_list: bool) -> Response:
    now = engine().clock()
    verdicts = ingest_events(
        elements,
        tenant=principal().tenant,
        log=event_log(),
        now=now,
        retention_days=engine().settings.retention_days,
        beyond_quota=partial(engine().mastery.facts.beyond_quota, principal().tenant),
        admit=partial(engine().event_quota.admit, principal().tenant, now=now),
        traceparent=_traceparent(),
    )
    if all(verdict.error is not None for verdict in verdicts):
        return failure(422, ErrorCode.VALIDATION_ERROR, "No event is valid.", _details(verdicts, is_list=is_list))
    return success(_ingested([_outcome(index, each.event_id, _errors(each)) for index, each in enumerate(verdicts)]), 202)


def _ingested(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    rejected = sum(each["status"] == REJECTED for each in outcomes)
    return {"accepted": len(outcomes) - rejected, "rejected": rejected, "events": outcomes}


def _raw_events(body: bytes) -> dict[str, Any]:
    """The body's fields, each as raw JSON; ``events`` is a list of raw JSON."""
    found: dict[str, Any] = {name: bytes(raw) for name, raw in _fields.decode(body).items()}
    if "events" in found:
        found["events"] = [bytes(raw) for raw in _list.decode(found["events"])]
    return found


def _students(elements: Iterable[bytes]) -> list[str]:
    """The students' ids that events contain."""
    named = (read_claim(element).student_id for element in elements)
    return [each for each in named if isinstance(each, str)]


def _outcome(index: int, event_id: str | None, errors: dict[str, list[str]] | None) -> dict[str, Any]:
    outcome: dict[str, Any] = {"index": index, "event_id": event_id}
    return outcome | ({"status": ACCEPTED} if errors is None else {"status": REJECTED, "errors": errors})


def _errors(verdict: EventVerdict) -> dict[str, list[str]] | None:
    """An event's errors by field; None if it is valid."""
    if verdict.error is None:
        return None
    errors: dict[str, list[str]] = {}
    for error in verdict.error.errors:
        errors.setdefault(error.field or "event", []).append(error.reason)
    return errors


def _details(verdicts: Sequence[EventVerdict], *, is_list: bool) -> dict[str, list[str]]:
    """All events' errors by path in the body: ``events.3.data.total_questions``, or ``event.data…``."""
    details: dict[str, list[str]] = {}
    for index, verdict in enumerate(verdicts):
        place = f"events.{index}" if is_list else "event"
        for field, reasons in (_errors(verdict) or {}).items():
            details[place if field == "event" else f"{place}.{field}"] = reasons
    return details


def _traceparent() -> str:
    """The caller's traceparent, or "" if it is missing or invalid."""
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else ""
