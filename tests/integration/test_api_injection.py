"""Injection strings in every field of every route: each is rejected or treated as data, and nothing else happens.

Fields come from the OpenAPI document, and those of events from their types, so new ones are tested automatically.
"""

import http.client
import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import msgspec
import pytest
import requests

from app.events.dead_letter import MAX_TEXT
from app.events.event import Event
from tests.integration.conftest import LiveApi
from tests.integration.injection_strings import BY_TARGET, CANARY, MARK, RESULT, STRINGS
from tests.learning_events import activity, completion, quality, quiz
from tests.stack import Stack, UnmeasuredStack, wait_for

CALLERS = 4
SETTLE_SECONDS = 60.0
# Parts of a request that are read before routing, and so are in no route's description.
COMMON_HEADERS = ("Authorization", "Content-Type", "User-Agent", "X-Forwarded-For", "Host")
EVENTS = {event()["event_type"]: event for event in (activity, completion, quality, quiz)}
# The contract's rules for text, in docs/events.md.
IDENTIFIERS = {"student_id", "cohort_id", "exercise_id", "quiz_id", "submission_id"}
IDENTIFIER = re.compile("[A-Za-z0-9_-]{1,50}")
SAFE_IDENTITY = re.compile("[A-Za-z0-9._-]{1,64}")
LABELS = {"source", "version"}
LABEL = re.compile("[^\x00-\x1f\x7f-\x9f]{0,50}")
UNKNOWN = [("note",), ("data", "note"), ("data", "note", "of", "more")]


class Field(NamedTuple):
    """A place for a string in a request: where (body, path, query, header), and its name, with its parents in a body."""

    route: str
    place: str
    name: tuple[str, ...]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Attacker(http.client.HTTPConnection):
    """A client that sends header values unchanged, even invalid ones."""

    def putheader(self, header: str | bytes, *values: Any) -> None:
        name = header.encode() if isinstance(header, str) else header
        text = b", ".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
        self._output(name + b": " + text)  # type: ignore[attr-defined]

    def ask(self, method: str, path: str, headers: dict[str, bytes], body: bytes | None) -> Answer:
        self.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            self.putheader(name, value)
        self.putheader("Content-Length", len(body or b""))
        self.endheaders(body)
        response = self.getresponse()
        answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        if any(end in value for value in headers.values() for end in (b"\r", b"\n")):
            self.close()  # the rest after the line may have been taken for another request
        return answer


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found = document
    if "$ref" not in schema:
        return schema
    for name in schema["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def properties(document: dict[str, Any], schema: dict[str, Any], names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every property of an object, and of nested objects."""
    for name, inner in resolved(document, schema).get("properties", {}).items():
        yield (*names, name)
        yield from properties(document, inner, (*names, name))


def fields_of(document: dict[str, Any]) -> Iterator[Field]:
    """Every field of requests; a header that many routes have is read by the same code, and tested once."""
    headers = set()
    for path, methods in document["paths"].items():
        for method in methods.keys() - {"parameters"}:
            route, operation = f"{method.upper()} {path}", methods[method]
            for parameter in (
                resolved(document, each) for each in methods.get("parameters", []) + operation.get("parameters", [])
            ):
                if parameter["name"] not in headers:
                    yield Field(route, parameter["in"], (parameter["name"],))
                if parameter["in"] == "header":
                    headers.add(parameter["name"])
            for name in properties(document, body_schema(operation)):
                yield Field(route, "body", name)
    for header in COMMON_HEADERS:
        yield Field("POST /mastery/query", "header", (header,))


def body_schema(operation: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return schema


class Target:
    """A running API that an admin attacks."""

    def __init__(self, live_api: LiveApi) -> None:
        self.document = live_api.get("/openapi.json").json()
        self.host = urlsplit(live_api.url).netloc
        self._live_api = live_api
        self._authorization = self._new_authorization()

    def attack(self, field: Field, texts: Iterable[str]) -> None:
        """Put each text into the field of an otherwise valid request."""
        connection = Attacker(self.host, timeout=30)
        for text in texts:
            self._attack(connection, field, text)
        connection.close()

    def _attack(self, connection: Attacker, field: Field, text: str) -> None:
        method, _, path = field.route.partition(" ")
        caller = self._new_authorization() if path == "/auth/revoke" else self._authorization  # it revokes its own
        headers = {"Host": self.host.encode(), "Authorization": caller, "Content-Type": b"application/json"}
        body = self._body(field, text)
        name = field.name[0]
        if field.place == "path":
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        if field.place == "query":
            path += "?" + urlencode({name: text})
        if field.place == "header":
            headers.pop(name, None)
            headers[name] = text.encode()  # the last header: a line end in it may end all of them
        path = re.sub(r"\{\w+\}", lambda _: str(uuid4()), path)
        assert_harmless(connection.ask(method, path, headers, body), field, text)

    def _new_authorization(self) -> bytes:
        return self._live_api.authorization(subject=f"a-{uuid4()}")["Authorization"].encode()

    def _body(self, field: Field, text: str) -> bytes | None:
        method, _, path = field.route.partition(" ")
        operation = self.document["paths"][path][method.lower()]
        schema = resolved(self.document, body_schema(operation))
        if not schema:
            return None
        if field.place != "body":
            first, *_ = operation["requestBody"]["content"]["application/json"]["examples"].values()
            return json.dumps(first["value"]).encode()
        # The other required fields.
        body = {name: resolved(self.document, schema["properties"][name])["example"] for name in schema.get("required", ())}
        place = body
        for name in field.name[:-1]:
            place = place.setdefault(name, {})
        place[field.name[-1]] = text
        return json.dumps(body).encode()


def assert_harmless(answer: Answer, field: Field, text: str) -> None:
    """A normal response: no 5xx, the envelope, nothing computed, no injected header, no stack trace."""
    seen = (field, text, answer)
    assert 200 <= answer.status < 500, seen
    assert answer.status not in {401, 403, 405, 429} or field.name == ("Authorization",), seen  # it reached the field
    assert "set-cookie" not in answer.headers, seen
    assert RESULT.encode() not in answer.body, seen
    assert b"Traceback" not in answer.body, seen
    if field.place == "header" and answer.headers["content-type"] == "text/html":
        assert answer.status == 400, seen  # gunicorn's error: invalid HTTP does not reach the API
        assert b"<" not in re.sub(rb"</?(html|head|title|body|h1|p)>", b"", answer.body), seen
        return
    assert answer.headers["content-type"] == "application/json", seen
    assert answer.headers["x-content-type-options"] == "nosniff", seen
    told = json.loads(answer.body)
    assert list(told) == ["success", "data" if answer.status < 400 else "error", "meta"], seen
    identity = answer.headers["x-correlation-id"]
    assert identity == told["meta"]["correlation_id"], seen
    assert SAFE_IDENTITY.fullmatch(identity), seen


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for these 30,000 requests."""
    with UnmeasuredStack(tmp_path_factory.mktemp("injection")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_comes_of_it(live_api: LiveApi) -> Iterator[None]:
    """After the attack the engine works, and no string became a key, a file or a log line."""
    stack = live_api.stack
    logged = len(stack.log())
    yield
    wait_for(lambda: stack.engine.ledger.in_flight() == 0, SETTLE_SECONDS)
    assert requests.get(f"{live_api.url}/ready", timeout=30).status_code == 200
    assert not Path(CANARY).exists()
    keys = [key.decode() for key in stack.engine.redis.scan_iter(count=1000)]
    assert keys
    assert [key for key in keys if not re.fullmatch(rf"{stack.settings.key_prefix}:[A-Za-z0-9_.:{{}}/@-]+", key)] == []
    assert [key for key in keys if MARK in key] == []
    lines = stack.log()[logged:].split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    assert [line for line in lines if re.match(rf"(\S+ \S+ +\| )?\s*{MARK}", line)] == []


@pytest.fixture
def target(live_api: LiveApi) -> Target:
    return Target(live_api)


def test_the_strings() -> None:
    """Enough strings of each kind."""
    assert all(len(set(texts)) >= 25 for texts in BY_TARGET.values())
    assert len(STRINGS) >= 300


def test_every_field_of_every_route(target: Target) -> None:
    """Each string is rejected (4xx) or is normal data, wherever a string may be."""
    fields = list(fields_of(target.document))
    assert {field.route for field in fields if field.place == "body"} >= {
        f"POST {path}" for path, methods in target.document["paths"].items() if "requestBody" in methods.get("post", {})
    }
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(lambda field: target.attack(field, STRINGS), fields))


def test_names_of_fields(target: Target) -> None:
    """An unknown field of a body or a query is rejected, whatever its name."""
    with ThreadPoolExecutor(CALLERS) as callers:
        routes = {field.route: field for field in fields_of(target.document) if field.place in {"body", "query"}}
        places = [Field(route, field.place, (text,)) for route, field in routes.items() for text in STRINGS]
        list(callers.map(lambda field: target.attack(field, ["x"]), places))


def event_fields() -> list[tuple[str, tuple[str, ...]]]:
    """Every field of every type of event, including those of ``data``, and some unknown ones."""
    _, schemas = msgspec.json.schema_components([Event], ref_template="#/schemas/{name}")
    tags = {name: schema["properties"].get("event_type", {}).get("enum") for name, schema in schemas.items()}
    return [
        (tags[name][0], field)
        for name, schema in schemas.items()
        if tags[name]
        for field in [*properties({"schemas": schemas}, schema), *UNKNOWN]
    ]


@pytest.mark.parametrize(("event_type", "name"), event_fields(), ids=str)
def test_every_field_of_an_event(live_api: LiveApi, event_type: str, name: tuple[str, ...]) -> None:
    """An event with such a string is rejected by field, or it fits the contract; the other events are accepted."""
    events = [event(live_api, event_type, name, text) for text in STRINGS] + [event(live_api, event_type)]
    answer = live_api.post("/mastery/ingest", {"events": events})
    assert answer.status_code == 202
    *verdicts, good = answer.json()["data"]["events"]
    assert good["status"] == "accepted"
    for text, verdict in zip(STRINGS, verdicts, strict=True):
        assert verdict["status"] == ("accepted" if fits(name, text) else "rejected"), (text, verdict)
        if verdict["status"] == "rejected":
            assert list(verdict["errors"]) == [".".join(name)]
        if name == ("event_id",):
            assert verdict["event_id"] == text[:MAX_TEXT]


def fits(name: tuple[str, ...], text: str) -> bool:
    """Whether the contract allows the text in the field."""
    if name[-1] in IDENTIFIERS:
        return IDENTIFIER.fullmatch(text) is not None
    return name in UNKNOWN or (name[-1] in LABELS and LABEL.fullmatch(text) is not None)


def event(live_api: LiveApi, event_type: str, name: tuple[str, ...] = (), text: str = "") -> dict[str, Any]:
    """An event of the caller's tenant with the text in one field, otherwise valid."""
    made = EVENTS[event_type](tenant_id=live_api.tenant, timestamp=datetime.now(UTC).isoformat())
    place = made
    for part in name[:-1]:
        place = place.setdefault(part, {})
    if name:
        place[name[-1]] = text
    return made
