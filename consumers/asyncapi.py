"""The AsyncAPI document of the three topics. ``python -m consumers.asyncapi`` prints it; `make asyncapi` keeps it in docs/.

Schemas, topics and examples are generated from the code; the descriptions here add what JSON Schema cannot express.
"""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from app.clock import day_number, microseconds
from app.config.settings import Settings
from app.events.dead_letter import ERROR_TYPE, LETTER_ID, OFFSET, PARTITION, REPLAYS, TOPIC, TRACE, DeadLetter, ErrorType
from app.events.event import Envelope
from app.events.event_documentation import EVENT_DESCRIPTIONS, EVENT_EXAMPLES, SCHEMAS, json_schemas
from app.events.event_quota import COUNTED
from app.events.sealed_payload import SealedPayload
from app.identifiers import IDENTIFIER_PATTERN
from app.mastery.formula import Level
from app.mastery.result_messages import VERSION, Change, Erasure, Message, erased_message, updates
from app.pseudonyms import PSEUDONYM_BYTES

HOST = "localhost:9092"  # Kafka's default; the real address is in each installation's settings
BINDING = {"bindingVersion": "0.5.0"}
MILLISECONDS_A_DAY = 86_400_000

_IDENTIFIER = IDENTIFIER_PATTERN.removeprefix("^").removesuffix(r"\Z")
STUDENT_KEY = {
    "type": "string",
    "pattern": f"^{_IDENTIFIER}/{_IDENTIFIER}$",
    "description": "`tenant_id/student_id`: all messages about one student are in one partition, so they stay in order",
    "examples": ["socsci/s-604916"],
}
PSEUDONYM = "5f3c1f0e9a7b4d2c8e6a1b3d"  # an example
PSEUDONYM_KEY = {
    "type": "string",
    "pattern": f"^{_IDENTIFIER}/[0-9a-f]{{{2 * PSEUDONYM_BYTES}}}$",
    "description": "`tenant_id/pseudonym`: all messages about one student are in one partition, so they stay in order. The "
    "pseudonym is that of the audit trail; the value has the student's id",
    "examples": [f"socsci/{PSEUDONYM}"],
}
LETTER_KEY = {
    "type": ["string", "null"],
    "pattern": PSEUDONYM_KEY["pattern"],
    "description": "`tenant_id/pseudonym` of the student; null if no student can be read in the record",
    "examples": PSEUDONYM_KEY["examples"],
}


class Header(NamedTuple):
    """A Kafka header: its meaning and an example value."""

    description: str
    example: str


HEADERS: Mapping[str, Header] = {
    TOPIC: Header("The topic of the record that failed", "mastery.events"),
    PARTITION: Header("Its partition", "3"),
    OFFSET: Header("Its offset", "10452"),
    ERROR_TYPE: Header("`error_type` of the value", "validation_error"),
    REPLAYS: Header("How often the event was replayed from the dead letters", "0"),
    LETTER_ID: Header("ID of the dead letter: the same for the same source record", "6c1f6b0c2f0f4d6f9d1b7a3e"),
    TRACE: Header("W3C trace context of the record, if it had one", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
}
REQUIRED = tuple(name for name in HEADERS if name != TRACE)
EVENT_HEADERS = {
    **{name: HEADERS[name] for name in (REPLAYS, TRACE)},  # the bridge copies these to the dead letter
    COUNTED: Header("Set on events from the HTTP API, which has already counted them towards the tenant's quota", "http"),
}

# Keys: a struct, a field of one struct ("Struct.field"), or a field of every struct.
DESCRIPTIONS: Mapping[str, str] = {
    **EVENT_DESCRIPTIONS,
    "DeadLetter.event_id": "The event's id, if it is a UUID",
    "original_event_type": "The event's type, if it is one of the documented types",
    "encrypted": "A Fernet token (https://github.com/fernet/spec): the record's key and value",
    "key_id": "Which key decrypts it: the beginning of the key's SHA-256",
    "SealedPayload.tenant": "The tenant, if it can be read in the record",
    "student": "The student's pseudonym, whose key decrypts it; null if no student can be read in the record",
    "day": "The day whose key decrypts it, if no student can be read in the record",
    "error_message": "For an invalid event, every wrong field and what it must be; at most 1,000 characters",
    "failed_at": "When processing was given up, UTC, ISO 8601",
    "retry_count": "Number of retries before that",
}

_AT = datetime(2026, 10, 28, 22, 54, 26, tzinfo=UTC)


def results() -> tuple[Struct, ...]:
    """One example of every message about a student; a change to another level produces all those about a score."""
    change = Change("s-604916", "BBB-2013J", revision=17, day=day_number(_AT), millionths=612_500, previous=574_524)
    erasure = Erasure("s-604916", microseconds(_AT + timedelta(hours=10)))
    return (*updates("socsci", change, _AT + timedelta(seconds=1)), erased_message("socsci", erasure))


def dead_letters() -> tuple[Struct, ...]:
    """An example of a dead letter: a quiz without questions."""
    event = EVENT_EXAMPLES[1]
    payload = SealedPayload("gAAAAABqIVkD…", "5f70bf18a0860070", event.tenant_id, PSEUDONYM, None)
    letter = DeadLetter(
        event_id=str(event.event_id),
        original_event_type=str(event.__struct_config__.tag),
        original_payload=payload,
        error_type=ErrorType.VALIDATION,
        error_message="data.total_questions: Expected `int` >= 1",
        failed_at=_AT + timedelta(seconds=1),
        retry_count=0,
    )
    return (letter,)


class Topic(NamedTuple):
    """A channel of the document: its Kafka topic, and one example of every message on it."""

    title: str
    address: str
    retention_days: int
    examples: tuple[Struct, ...]


def asyncapi() -> dict[str, Any]:
    """The document, for the default settings."""
    settings = Settings()
    topics = {
        "events": Topic("Learning events", settings.events_topic, settings.events_retention_days, EVENT_EXAMPLES),
        "results": Topic(
            "Changes of mastery, and erased students", settings.results_topic, settings.results_retention_days, results()
        ),
        "deadLetters": Topic("Dead letters", settings.dlq_topic, settings.dlq_retention_days, dead_letters()),
    }
    group = {"kafka": {"groupId": {"type": "string", "enum": [settings.kafka_group]}, **BINDING}}
    schemas = json_schemas([type(example) for topic in topics.values() for example in topic.examples], DESCRIPTIONS)
    schemas["Level"]["enum"] = list(Level)  # in ascending order; msgspec sorts alphabetically
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mastery Engine",
            "version": VERSION,
            "description": "Learning events in, changes of mastery out. docs/events.md explains how to use the topics.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": HOST, "protocol": "kafka", "description": "Each installation's own Kafka"}},
        "channels": {name: _channel(topic, settings) for name, topic in topics.items()},
        "operations": {
            "recordEvents": _operation("receive", "events", topics, "Records every event once") | {"bindings": group},
            "tellResults": _operation("send", "results", topics, "Publishes changes of students' scores, and erasures"),
            "sendDeadLetters": _operation("send", "deadLetters", topics, "Publishes events that can never be recorded"),
        },
        "components": {
            "messages": {_name(each): _message(each, schemas) for topic in topics.values() for each in topic.examples},
            "schemas": schemas,
        },
    }


def _channel(topic: Topic, settings: Settings) -> dict[str, Any]:
    kafka = {
        "partitions": settings.kafka_partitions,
        "replicas": settings.kafka_replication,
        "topicConfiguration": {"retention.ms": topic.retention_days * MILLISECONDS_A_DAY},
        **BINDING,
    }
    return {
        "address": topic.address,
        "title": topic.title,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {_name(each): {"$ref": f"#/components/messages/{_name(each)}"} for each in topic.examples},
        "bindings": {"kafka": kafka},
    }


def _operation(action: str, channel: str, topics: Mapping[str, Topic], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{_name(each)}"} for each in topics[channel].examples],
    }


def _message(example: Struct, schemas: Mapping[str, Any]) -> dict[str, Any]:
    schema, is_letter, is_event = type(example).__name__, isinstance(example, DeadLetter), isinstance(example, Envelope)
    message = {
        "name": _name(example),
        "title": schema,
        "summary": schemas[schema]["description"].partition("\n")[0],
        "payload": {"$ref": SCHEMAS + schema},
        "bindings": {"kafka": {"key": _key(example), **BINDING}},
    }
    payload = {"payload": msgspec.to_builtins(example)}
    if is_letter:
        values = {name: header.example for name, header in HEADERS.items()}
        return message | {"headers": _headers(HEADERS, REQUIRED), "examples": [{"headers": values, **payload}]}
    if is_event:
        return message | {"headers": _headers(EVENT_HEADERS), "examples": [payload]}
    return message | {"examples": [payload]}


def _key(example: Struct) -> Mapping[str, Any]:
    if isinstance(example, Message):
        return PSEUDONYM_KEY
    return LETTER_KEY if isinstance(example, DeadLetter) else STUDENT_KEY


def _name(example: Struct) -> str:
    return str(type(example).__struct_config__.tag or type(example).__name__)


def _headers(headers: Mapping[str, Header], required: Iterable[str] = ()) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": header.description} for name, header in headers.items()}
    return {"type": "object", "properties": properties, "required": list(required)}


def document() -> bytes:
    """The document as formatted JSON, the content of docs/asyncapi.json."""
    return msgspec.json.format(msgspec.json.encode(asyncapi()), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(document())
