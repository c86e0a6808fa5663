"""Learning events over HTTP, for those who have no Kafka at hand: POST /mastery/ingest."""

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
from api.idempotency import IDEMPOTENCY_KEY, REPLAYED_HEADER, Packing, idempotent
from api.openapi import LEARNING_EVENT
from api.parsing import JsonBlueprint, StrictParser
from api.request_audit import set_data_subjects
from api.responses import ErrorCode, Failure, envelope, failure, success
from app.events.decode_by_field import mend_surrogates
from app.events.event_log import EventLog
from app.events.event_quota import QuotaExceeded
from app.events.ingest_events import EventVerdict, claimed_id, ingest_events, read_claim
from app.idempotency.idempotency_keys import HEADER, AnswersFull
from app.security.access import Action

MAX_EVENTS = 500  # as many as the bridge reads at once

ACCEPTED, REJECTED = "accepted", "rejected"

_fields = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])
# W3C Trace Context, section 3.2.2: a version that is not ff, a trace and a parent that are not all zeros, flags.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

# For the OpenAPI document.
TRACEPARENT = {
    "in": "header",
    "name": "traceparent",
    "schema": {"type": "string"},
    "description": "Goes on with the events (W3C Trace Context); left out if it is none",
}


class IngestParser(StrictParser):
    """Leaves each event the JSON text that it is, so that it is judged as one from Kafka would be."""

    def decode(self, req: Request) -> Any:
        if not req.is_json:
            raise UnsupportedMediaType
        try:
            return _raw_events(mend_surrogates(req.get_data()))
        except msgspec.ValidationError:  # no object, or no list of events: for the schema to refuse
            return super().decode(req)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest from error


class IngestBlueprint(JsonBlueprint):
    """Its bodies have events in them."""

    ARGUMENTS_PARSER = IngestParser()


blueprint = IngestBlueprint("ingest", __name__, url_prefix="/mastery", description="Learning events over HTTP")


class EventField(fields.Raw):
    """An event, whatever it is: it is judged as one from Kafka would be."""

    def __init__(self, **options: Any) -> None:
        description = "As on the topic `mastery.events`; `tenant_id` may be left out, and must else be the token's"
        super().__init__(
            metadata={"type": "object", "allOf": [{"$ref": LEARNING_EVENT}], "description": description}, **options
        )


class EventList(fields.List[Any]):
    """Events in a list whose length is checked before anything is done with each of them."""

    def __init__(self) -> None:
        super().__init__(EventField(), validate=validate.Length(1, MAX_EVENTS))

    def _deserialize(self, value: Any, *_args: Any, **_options: Any) -> Any:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        return value


class IngestBody(Schema):
    """One event, or several."""

    event = EventField()
    events = EventList()

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        if len(data) != 1:
            reasons = ["Give either event or events."]
            raise ValidationError({"event": reasons, "events": reasons})


class EventAnswer(Schema):
    index = fields.Integer(required=True, metadata={"description": "Its place in the request, from 0"})
    event_id = fields.String(required=True, allow_none=True, metadata={"description": "What it claims to be; null if nothing"})
    status = fields.String(required=True, validate=validate.OneOf([ACCEPTED, REJECTED]))
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={
            "description": "What is wrong with a rejected one, by field; `event` where it is none in particular",
            "example": {"data.total_questions": ["Expected `int` >= 1"]},
        },
    )


class Ingested(Schema):
    accepted = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    events = fields.List(fields.Nested(EventAnswer), required=True)


@blueprint.errorhandler(QuotaExceeded)
def too_many(error: QuotaExceeded) -> Response:
    """All that a tenant may send in a minute was sent. No answer is kept for the key: the same request may succeed soon."""
    headers = {"Retry-After": str(error.seconds)}
    details = {"tenant_id": [str(error)]}
    return failure(429, ErrorCode.RATE_LIMITED, "The tenant's quota is used up for this minute.", details, headers)


@blueprint.errorhandler(AnswersFull)
def no_room(error: AnswersFull) -> Response:
    """What is kept for the tenant's keys is as much as it may be."""
    message, headers = "The tenant's quota for keys is used up.", {"Retry-After": str(error.seconds)}
    return failure(429, ErrorCode.RATE_LIMITED, message, {HEADER: [str(error)]}, headers)


def event_log() -> EventLog:
    """What this application appends events to."""
    return cast("EventLog", current_app.extensions["event_log"])


@blueprint.post("/ingest")
@performs(Action.INGEST_EVENTS)
@takes_a_list
@blueprint.arguments(IngestBody(), examples=INGEST)
@blueprint.response(202, envelope(Ingested), description="Kafka has those that are valid", headers=REPLAYED_HEADER)
@blueprint.alt_response(409, schema=Failure, description="A request with this Idempotency-Key is being answered")
@blueprint.alt_response(503, schema=Failure, description="Kafka or Redis does not answer: try again after Retry-After seconds")
@blueprint.doc(operationId="ingestEvents", parameters=[IDEMPOTENCY_KEY, TRACEPARENT])
def ingest(body: dict[str, Any]) -> Response:
    """Learning events; each of them is accepted or rejected by itself"""
    elements: list[bytes] = body["events"] if "events" in body else [body["event"]]
    set_data_subjects(*_students(elements))  # if this fails, some of them may have been taken over
    answer = _take_over(elements, is_list="events" in body)
    if answer.status_code == 202:
        outcomes = answer.get_json()["data"]["events"]  # which an answer that was kept has, too
        set_data_subjects(*_students(elements[each["index"]] for each in outcomes if each["status"] == ACCEPTED))
    return answer


def _pack(data: dict[str, Any]) -> list[Any]:
    """What is wrong with each event. Its id is in the body of whoever asks again."""
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
    """The body's fields, each as JSON text; ``events`` is a list of such."""
    found: dict[str, Any] = {name: bytes(raw) for name, raw in _fields.decode(body).items()}
    if "events" in found:
        found["events"] = [bytes(raw) for raw in _list.decode(found["events"])]
    return found


def _students(elements: Iterable[bytes]) -> list[str]:
    """Whom events are about, where they say so."""
    named = (read_claim(element).student_id for element in elements)
    return [each for each in named if isinstance(each, str)]


def _outcome(index: int, event_id: str | None, errors: dict[str, list[str]] | None) -> dict[str, Any]:
    outcome: dict[str, Any] = {"index": index, "event_id": event_id}
    return outcome | ({"status": ACCEPTED} if errors is None else {"status": REJECTED, "errors": errors})


def _errors(verdict: EventVerdict) -> dict[str, list[str]] | None:
    """What is wrong with an event, by field; None if nothing is."""
    if verdict.error is None:
        return None
    errors: dict[str, list[str]] = {}
    for error in verdict.error.errors:
        errors.setdefault(error.field or "event", []).append(error.reason)
    return errors


def _details(verdicts: Sequence[EventVerdict], *, is_list: bool) -> dict[str, list[str]]:
    """What is wrong with each event, by its place in the body: ``events.3.data.total_questions``, or ``event.data…``."""
    details: dict[str, list[str]] = {}
    for index, verdict in enumerate(verdicts):
        place = f"events.{index}" if is_list else "event"
        for field, reasons in (_errors(verdict) or {}).items():
            details[place if field == "event" else f"{place}.{field}"] = reasons
    return details


def _traceparent() -> str:
    """The caller's, if it is one."""
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else ""
