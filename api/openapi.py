"""The OpenAPI document at /openapi.json, and Swagger UI at /docs, which loads nothing from other hosts."""

from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import flask_swagger_ui
import msgspec
from apispec import BasePlugin
from flask import Blueprint, Flask, Response, send_from_directory
from flask_smorest import Api

from api.authentication import engine
from api.examples import EXAMPLE_END, EXAMPLE_SINCE, EXAMPLE_START
from api.rate_limits import LIMIT_HEADER, REMAINING_HEADER, RESET_HEADER
from api.responses import CORRELATION_HEADER, SAFE_ID, VERSION, Failure
from app.events.event import EVENT_TYPES
from app.events.event_documentation import EXAMPLE_TIMESTAMP, SCHEMAS, json_schemas

DOCS_PATH = "/docs"
DOCS_PAGE = "api-docs.openapi_swagger_ui"  # flask-smorest's endpoint; the page itself is templates/swagger_ui.html


LEARNING_EVENT = f"{SCHEMAS}LearningEvent"
_CORRELATION_ID = "CorrelationId"
# Not sent on /health, which has no limit, and if limits are off.
_RATE_LIMIT = {
    LIMIT_HEADER: ("RateLimit", "Maximum number of the caller's requests per second, minute, hour or day"),
    REMAINING_HEADER: ("RateLimitRemaining", "How many of them are left now"),
    RESET_HEADER: ("RateLimitReset", "Unix time at which the oldest counted request leaves the window"),
}
_COMMON_HEADERS = {CORRELATION_HEADER: _CORRELATION_ID} | {name: part for name, (part, _) in _RATE_LIMIT.items()}
_WAIT = {"Retry-After": {"schema": {"type": "integer", "minimum": 0}, "description": "Seconds to wait before trying again"}}
_FAILURE_HEADERS: dict[HTTPStatus, dict[str, Any]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Bearer` (RFC 6750)"}},
    HTTPStatus.CONFLICT: _WAIT,
    HTTPStatus.TOO_MANY_REQUESTS: _WAIT,
    HTTPStatus.SERVICE_UNAVAILABLE: _WAIT,
}


class _CommonAnswers(BasePlugin):
    """Adds the common failures and headers to every route's documentation."""

    def operation_helper(
        self,
        path: str | None = None,  # noqa: ARG002 - apispec's interface
        operations: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        for operation in (operations or {}).values():
            answers = {str(status): answer for status, answer in operation["responses"].items()}
            failures = {str(status.value): status.name for status in _failures(operation)}
            operation["responses"] = dict(sorted({**failures, **answers}.items()))
            for answer in answers.values():
                if isinstance(answer, dict):
                    answer["headers"] = {**_COMMON_HEADERS, **answer.get("headers", {})}
            operation["parameters"] = [*operation.get("parameters", []), _CORRELATION_ID]


def _failures(operation: dict[str, Any]) -> set[HTTPStatus]:
    """The failures that a route can return because of its security and body."""
    failures = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR}
    if operation.get("security") != []:
        failures |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE}
    if "requestBody" in operation:
        failures |= {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    return failures


class EnvelopeApi(Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest's registry of blueprints, with the envelope as schema of failures."""

    ERROR_SCHEMA = Failure
    DEFAULT_ERROR_RESPONSE_NAME = None  # each route names its failures

    def _openapi_json(self) -> Response:
        """The document, with days in its examples that are retained now, so that they can be sent unchanged."""
        text = msgspec.json.encode(self.spec.to_dict()).decode()
        for day, current in _current_days().items():
            text = text.replace(day, current)
        return Response(msgspec.json.format(text), mimetype="application/json")


def _current_days() -> dict[str, str]:
    """What stands for the example times: yesterday for events, the last thirty days for ranges, a week ago."""
    served = engine()
    today, ago = served.clock(), min(29, served.mastery.facts.retention_days - 1)
    return {
        EXAMPLE_TIMESTAMP: (today - timedelta(days=1)).strftime("%Y-%m-%dT12:00:00Z"),
        EXAMPLE_START: (today - timedelta(days=ago)).strftime("%Y-%m-%d"),
        EXAMPLE_SINCE: (today - timedelta(days=7)).strftime("%Y-%m-%d"),
        EXAMPLE_END: today.strftime("%Y-%m-%d"),
    }


def openapi(app: Flask) -> EnvelopeApi:
    """Serve the document and Swagger UI. Returns the registry that documents the blueprints registered with it."""
    app.config.update(
        API_TITLE="Mastery Engine",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH=DOCS_PATH,
        OPENAPI_SWAGGER_UI_URL=f"{DOCS_PATH}/assets/",
        API_SPEC_OPTIONS={
            "info": {
                "description": "Where does a student stand? Mastery from learning events, in real time.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/", "description": "The engine that this document comes from"}],
            "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
            "security": [{"bearer": []}],
        },
    )
    app.register_blueprint(_docs_assets())
    api = EnvelopeApi(app, spec_kwargs={"extra_plugins": [_CommonAnswers()]})
    _describe_common_parts(api)
    _describe_events(api)
    return api


def _describe_common_parts(api: EnvelopeApi) -> None:
    """Add the components that routes refer to: failures by HTTP name, and common headers."""
    parts = api.spec.components
    in_answers = {"schema": {"type": "string", "pattern": SAFE_ID}, "description": "Finds the request in the logs"}
    in_requests = "Yours, if it is 1 to 64 letters, digits, `.`, `_` or `-`; anything else is replaced"
    parts.header(_CORRELATION_ID, in_answers)
    parts.parameter(
        _CORRELATION_ID, "header", {"name": CORRELATION_HEADER, "schema": {"type": "string"}, "description": in_requests}
    )
    for part, meaning in _RATE_LIMIT.values():
        parts.header(part, {"schema": {"type": "integer", "minimum": 0}, "description": meaning})
    for status in (each for each in HTTPStatus if each >= 400):
        headers = {**_COMMON_HEADERS, **_FAILURE_HEADERS.get(status, {})}
        content = {"application/json": {"schema": Failure}}
        parts.response(status.name, {"description": status.phrase, "content": content, "headers": headers}, lazy=True)


def _describe_events(api: EnvelopeApi) -> None:
    """Add the event schemas of docs/asyncapi.json, with optional tenant."""
    parts, kinds = api.spec.components, {tag: SCHEMAS + each.__name__ for tag, each in EVENT_TYPES.items()}
    for name, schema in json_schemas(EVENT_TYPES.values()).items():
        parts.schema(name, schema | {"required": [field for field in schema["required"] if field != "tenant_id"]})
    discriminator = {"propertyName": "event_type", "mapping": kinds}
    parts.schema(
        LEARNING_EVENT.removeprefix(SCHEMAS),
        {"oneOf": [{"$ref": kind} for kind in kinds.values()], "discriminator": discriminator},
    )


def _docs_assets() -> Blueprint:
    """Swagger UI's files, and the script that starts it."""
    folder = Path(flask_swagger_ui.__file__).with_name("dist")
    assets = Blueprint("docs-assets", "api", static_folder=folder, static_url_path="/assets", url_prefix=DOCS_PATH)

    @assets.get("/start.js")
    def start() -> Response:
        return send_from_directory("static", "start-docs.js")

    return assets
