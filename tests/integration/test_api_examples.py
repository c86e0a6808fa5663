"""Every request example in the OpenAPI document works unchanged, as /docs sends it; and other data for tools is present."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import requests

from consumers.asyncapi import asyncapi
from tests.integration.conftest import LiveApi
from tests.integration.test_api_service import resolved
from tests.stack import wait_for

JSON = "application/json"
# What an example cannot know: the id of a task, or of a batch.
EXPECTED = {operation: {404} for operation in ("getTask", "getBatch", "getBatchResults", "cancelBatch")} | {
    "getErasure": {200, 404},
    "compareStudent": {422},  # the examples' events are of one student; a comparison needs five
    "compareCohorts": {404},  # and nobody is in the second cohort
}
KNOWN_SECONDS = 30.0


class Example(NamedTuple):
    """A request from the document."""

    operation: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], list[dict[str, Any]]]]:
    """Path, method, operation and parameters of each route."""
    for path, methods in document["paths"].items():
        for method in methods.keys() - {"parameters"}:
            parameters = [*methods.get("parameters", []), *methods[method].get("parameters", [])]
            yield path, method, methods[method], [resolved(document, each) for each in parameters]


def examples(document: dict[str, Any]) -> Iterator[Example]:
    """Each example of a body, or none, with the example parameters."""
    for path, method, operation, parameters in operations(document):
        filled: dict[str, dict[str, str]] = {"path": {}, "query": {}, "header": {}}
        for each in parameters:
            schema = each["schema"]
            value = each.get("example", schema.get("example", schema.get("default")))
            if value is not None:
                filled[each["in"]][each["name"]] = str(value)
        bodies = [each["value"] for each in content(operation)["examples"].values()] if "requestBody" in operation else [None]
        for body in bodies:
            name, url = operation["operationId"], path.format(**filled["path"])
            yield Example(name, method, url, filled["query"], filled["header"], body)


def content(operation: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = operation["requestBody"]["content"][JSON]
    return described


def send(api: LiveApi, example: Example) -> requests.Response:
    """Send it as an admin with a separate token, since one of the examples revokes it."""
    return requests.request(
        example.method,
        api.url + example.path,
        params=example.query,
        headers=example.headers | api.authorization(),
        json=example.body,
        timeout=api.timeout,
    )


def test_every_example_works(live_api: LiveApi) -> None:
    """An admin who sends the examples unchanged, events first, gets the expected responses."""
    document = live_api.get("/openapi.json").json()
    found = sorted(examples(document), key=lambda each: each.operation != "ingestEvents")
    routes = [operation["operationId"] for _, _, operation, _ in operations(document)]
    assert {each.operation for each in found} == {*routes}
    for example in found:
        answer = send(live_api, example)
        assert answer.status_code in EXPECTED.get(example.operation, {200, 202}), (example, answer.text)
        if example.operation == "ingestEvents":
            assert answer.json()["data"]["rejected"] == 0
            query = next(each for each in found if each.operation == "queryMastery")
            wait_for(lambda query=query: send(live_api, query).ok, KNOWN_SECONDS)  # type: ignore[misc]


def test_the_events_of_the_examples_count(live_api: LiveApi) -> None:
    """They are neither repeated nor expired, whenever the document is read: afterwards every component has evidence."""
    document = live_api.get("/openapi.json").json()
    events = next(each for each in examples(document) if each.operation == "ingestEvents" and "events" in each.body)
    query = next(each for each in examples(document) if each.operation == "queryMastery")
    send(live_api, events)
    wait_for(lambda: send(live_api, query).json().get("data", {}).get("coverage") == 1.0, KNOWN_SECONDS)


def test_what_tools_look_for(live_api: LiveApi) -> None:
    """Each route has its own operationId; there are the server's address and the licence."""
    document = live_api.get("/openapi.json").json()
    names = [operation["operationId"] for _, _, operation, _ in operations(document)]
    assert len(set(names)) == len(names)
    assert document["servers"][0]["url"] == "/"
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}


def test_events_are_described_once(live_api: LiveApi) -> None:
    """The events' schemas are those of docs/asyncapi.json, except that the token gives the tenant."""
    document = live_api.get("/openapi.json").json()
    schemas, theirs = document["components"]["schemas"], asyncapi()["components"]["schemas"]
    kinds = schemas["LearningEvent"]["discriminator"]["mapping"]
    assert len(kinds) == 4
    assert [{"$ref": kind} for kind in kinds.values()] == schemas["LearningEvent"]["oneOf"]
    for event_type, reference in kinds.items():
        name = reference.rpartition("/")[2]
        described = schemas[name]
        assert described["properties"]["event_type"]["enum"] == [event_type]
        assert described == theirs[name] | {"required": [field for field in theirs[name]["required"] if field != "tenant_id"]}
        data = described["properties"]["data"].get("$ref", "").rpartition("/")[2]
        assert schemas[data] == theirs[data]
