"""docs/asyncapi.json agrees exactly with the code about the messages on the topics."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from app.bootstrap import Engine
from app.config.settings import Settings
from app.errors import InvalidInput
from app.events.dead_letter import DeadLetter
from app.events.event import Event, decode_event
from app.events.seal_letters import seal_letters
from app.mastery.result_messages import Change, Erasure, StudentErased, Update, encode_message, erased_message, updates
from app.pseudonyms import Pseudonyms
from consumers.asyncapi import DESCRIPTIONS, HEADERS, asyncapi, document
from tests.dead_letters import failed_record
from tests.learning_events import quiz

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOW = datetime(2026, 10, 28, 23, tzinfo=UTC)
DOCUMENT = asyncapi()
MESSAGES, SCHEMAS = DOCUMENT["components"]["messages"], DOCUMENT["components"]["schemas"]
EVENT_TYPES = [kind.__struct_config__.tag for kind in Event.__args__]
UPDATE_TYPES = [kind.__struct_config__.tag for kind in Update.__args__]
RESULT_TYPES = [*UPDATE_TYPES, StudentErased.__struct_config__.tag]


def within(node: Any) -> Iterator[Any]:
    """A JSON value and everything in it."""
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from within(child)


def resolve(reference: str) -> Any:
    """The target of a reference. Raises KeyError if there is none."""
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step.replace("~1", "/").replace("~0", "~")]
    return node


def example(message: str) -> Any:
    (only,) = MESSAGES[message]["examples"]
    return only["payload"]


def assert_documented(value: Any, schema: dict[str, Any]) -> None:
    """An object sent by the engine always has all documented fields and no others; so have the objects in it."""
    assert list(value) == list(schema["properties"])
    assert set(value) == set(schema["required"])
    for name, its_schema in schema["properties"].items():
        target = resolve(its_schema["$ref"]) if "$ref" in its_schema else {}
        if "properties" in target:
            assert_documented(value[name], target)
        elif "enum" in target:
            assert value[name] in target["enum"]


def test_the_file_is_what_the_code_says() -> None:
    """A change of a message must change its documentation."""
    assert (DOCS / "asyncapi.json").read_bytes() == document(), "docs/asyncapi.json is out of date: run `make asyncapi`"


def test_every_reference_leads_somewhere() -> None:
    """The referenced channels, operations, messages and schemas exist."""
    references = [node["$ref"] for node in within(DOCUMENT) if isinstance(node, dict) and "$ref" in node]
    assert references
    for reference in references:
        assert isinstance(resolve(reference), dict)


def test_a_reference_stands_alone() -> None:
    """Readers ignore properties beside a reference."""
    assert all(len(node) == 1 for node in within(DOCUMENT) if isinstance(node, dict) and "$ref" in node)


def test_an_operation_is_about_all_messages_of_its_channel() -> None:
    """Each channel has one operation, which names exactly the channel's messages."""
    channels = []
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        channels.append(channel)
        expected = [f"{channel}/messages/{name}" for name in resolve(channel)["messages"]]
        assert expected == [each["$ref"] for each in operation["messages"]]
    assert sorted(channels) == [f"#/channels/{name}" for name in sorted(DOCUMENT["channels"])]


def test_the_topics_are_those_of_the_settings() -> None:
    """These are the defaults; an installation may use other names."""
    settings = Settings()
    expected = {
        settings.events_topic: ("receive", {*EVENT_TYPES}),
        settings.results_topic: ("send", {*RESULT_TYPES}),
        settings.dlq_topic: ("send", {"DeadLetter"}),
    }
    found = {}
    for operation in DOCUMENT["operations"].values():
        channel = resolve(operation["channel"]["$ref"])
        found[channel["address"]] = (operation["action"], {*channel["messages"]})
    assert expected == found


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_the_example_of_an_event_is_one(event_type: str) -> None:
    """The example is accepted, and every field is used."""
    value = example(event_type)
    event, _moment = decode_event(msgspec.json.encode(value), NOW)
    assert value == msgspec.to_builtins(event)


@pytest.mark.parametrize("event_type", RESULT_TYPES)
def test_the_example_of_a_result_is_one(event_type: str) -> None:
    """The example is within the documented limits, and has only documented fields."""
    value = example(event_type)
    assert value == msgspec.to_builtins(msgspec.convert(value, Update | StudentErased))


def test_the_example_of_a_dead_letter_is_one() -> None:
    """It has all fields, and an event is rejected for its reason."""
    value = example("DeadLetter")
    letter = msgspec.convert(value, DeadLetter)
    assert value == msgspec.to_builtins(letter)
    with pytest.raises(InvalidInput) as refused:
        decode_event(json.dumps(quiz(total_questions=0, correct_answers=0)).encode(), NOW)
    assert letter.error_message == str(refused.value)


@pytest.mark.parametrize("former", [-1, 0, 574_524])
@pytest.mark.parametrize("cohort", ["", "c-1"])
def test_updates_are_as_documented(cohort: str, former: int) -> None:
    """Every field is always present, or null."""
    kinds = []
    for update in updates("t-1", Change("s-1", cohort, 17, 20_754, 612_500, former), NOW):
        sent = msgspec.json.decode(encode_message(update))
        kinds.append(sent["event_type"])
        assert_documented(sent, resolve(MESSAGES[sent["event_type"]]["payload"]["$ref"]))
        UUID(sent["event_id"])
    assert kinds == UPDATE_TYPES


def test_an_erasure_is_as_documented() -> None:
    """Every field is always present; the key has the documented form."""
    sent = msgspec.json.decode(encode_message(erased_message("t-1", Erasure("s-1", 1_793_000_000_000_001))))
    message = MESSAGES["student.erased"]
    assert_documented(sent, resolve(message["payload"]["$ref"]))
    key = message["bindings"]["kafka"]["key"]
    assert re.match(key["pattern"], f"t-1/{Pseudonyms(b'key').of('t-1', 's-1')}")
    assert re.match(key["pattern"], key["examples"][0])


@pytest.mark.parametrize("value", [None, b"\xff", b"[]", b'{"event_id": "e-1", "event_type": "quiz.unknown"}'])
def test_dead_letters_are_as_documented(engine: Engine, value: bytes | None) -> None:
    """Every dead letter has all fields and headers."""
    failed = [failed_record(value), failed_record(value, key=b"t-1/s-1", traceparent=HEADERS["traceparent"].example)]
    plain, traced = seal_letters(failed, engine.letter_keys)
    for letter in (plain, traced):
        assert_documented(msgspec.json.decode(letter.value), SCHEMAS["DeadLetter"])
        sent = {name for name, _value in letter.headers}
        documented = MESSAGES["DeadLetter"]["headers"]
        assert set(documented["required"]) <= sent <= set(documented["properties"])
    assert sent == set(HEADERS)
    key = MESSAGES["DeadLetter"]["bindings"]["kafka"]["key"]
    assert re.search(key["pattern"], (traced.key or b"").decode())


def test_the_page_shows_true_examples() -> None:
    """The examples in docs/events.md must be valid, since most people read only that page."""
    blocks = re.findall("```json\n(.*?)```", (DOCS / "events.md").read_text(), re.DOTALL)
    event, *told, letter = map(msgspec.json.decode, blocks)
    decode_event(msgspec.json.encode(event), NOW)
    assert told == [example(each) for each in RESULT_TYPES]
    assert_documented(letter, SCHEMAS["DeadLetter"])


def test_patterns_are_those_of_json_schema() -> None:
    r"""ECMA 262 has no \Z."""
    patterns = [node["pattern"] for node in within(DOCUMENT) if isinstance(node, dict) and isinstance(node.get("pattern"), str)]
    assert patterns
    assert all(pattern.startswith("^") and pattern.endswith("$") and "\\Z" not in pattern for pattern in patterns)


def test_nothing_is_described_that_is_not_there() -> None:
    """When a field is renamed, its description must be renamed too."""
    fields = {field for schema in SCHEMAS.values() for field in schema.get("properties", {})}
    qualified = {f"{name}.{field}" for name, schema in SCHEMAS.items() for field in schema.get("properties", {})}
    assert set(DESCRIPTIONS) <= {*SCHEMAS, *fields, *qualified}
