"""Malformed messages of every kind that is known to end a worker: name → how a valid one is damaged."""

import base64
import json
from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from typing import Any
from uuid import uuid4

from tasks.celery import HIDDEN

SECRET = "s-unmistakable"  # stands for personal data, which must not be shown anywhere


_SAID_OF_ALL = {"lang": "py", "retries": 0, "argsrepr": HIDDEN, "kwargsrepr": HIDDEN}


def task(
    name: str = "events.record", arguments: Any = (SECRET,), keywords: dict[str, Any] | None = None, **headers: Any
) -> dict[str, Any]:
    """A message for a task with these arguments, in Celery's format."""
    task_id = str(uuid4())
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return {
        "body": encoded([list(arguments), keywords or {}, embedded]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**_SAID_OF_ALL, "task": name, "id": task_id, "root_id": task_id, **headers},
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "maintenance"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
        },
    }


def encoded(body: Any) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()


def _with(*path: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(message: dict[str, Any]) -> Any:
        place = message
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return message

    return change


def _without(*path: str) -> Callable[[dict[str, Any]], Any]:
    def change(message: dict[str, Any]) -> Any:
        place = message
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        return message

    return change


_NO_CALL = [[SECRET], {}, {}]
CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a list": lambda _: [SECRET],
    "null": lambda _: None,
    "a number": lambda _: 7,
    "an object of kombu's that is none": lambda _: {"__type__": "decimal", "__value__": SECRET},
    "bad base64": _with("body", value="!" + SECRET),
    "a body that is no text": _with("body", value={SECRET: 1}),
    "a body that is no JSON": _with("body", value=base64.b64encode(SECRET.encode()).decode()),
    "a body that is no UTF-8": _with("body", value=base64.b64encode(b"\xff\xfe").decode()),
    "a body that is a list of one": _with("body", value=encoded([[SECRET]])),
    "a body that is an object": _with("body", value=encoded({"task": SECRET, "id": "1", "args": [SECRET]})),
    "a body of a kombu object that is none": _with("body", value=encoded({"__type__": "datetime", "__value__": SECRET})),
    "arguments that are text": _with("body", value=encoded([SECRET, {}, {}])),
    "keywords that are a list": _with("body", value=encoded([[], [SECRET], {}])),
    "callbacks that are text": _with("body", value=encoded([[], {}, {"callbacks": SECRET}])),
    "no body": _without("body"),
    "an empty body": _with("body", value=""),
    "content-type null": _with("content-type", value=None),
    "content-type pickle": _with("content-type", value="application/x-python-serialize"),
    "content-type a list": _with("content-type", value=[SECRET]),
    "no content-type": _without("content-type"),
    "content-encoding unknown": _with("content-encoding", value=SECRET),
    "content-encoding null": _with("content-encoding", value=None),
    "headers null": _with("headers", value=None),
    "headers a list": _with("headers", value=[SECRET]),
    "no headers": _without("headers"),
    "a list as id": _with("headers", "id", value=[SECRET]),
    "an object as id": _with("headers", "id", value={SECRET: 1}),
    "no id": _without("headers", "id"),
    "a number as task": _with("headers", "task", value=7),
    "a list as task": _with("headers", "task", value=[SECRET]),
    "no task": _without("headers", "task"),
    "retries a text": _with("headers", "retries", value=SECRET),
    "a time limit that is none": _with("headers", "timelimit", value=SECRET),
    "an eta that is a number": _with("headers", "eta", value=7),
    "expires as an object": _with("headers", "expires", value={}),
    "stamps a text": _with("headers", "stamped_headers", value=SECRET),
    "a compression that is unknown": _with("headers", "compression", value=SECRET),
    "a pause that is a text": _with("headers", "pause", value=SECRET),
    "properties null": _with("properties", value=None),
    "no properties": _without("properties"),
    "no delivery tag": _without("properties", "delivery_tag"),
    "a list as delivery tag": _with("properties", "delivery_tag", value=[SECRET]),
    "no delivery info": _without("properties", "delivery_info"),
    "delivery info a text": _with("properties", "delivery_info", value=SECRET),
    "an encoding of the body that is unknown": _with("properties", "body_encoding", value=SECRET),
    "a priority that is a list": _with("properties", "priority", value=[SECRET]),
}
# Well-formed, but useless to a worker.
USELESS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an unknown task": _with("headers", "task", value="mastery.nosuch"),
    "an eta that is no time": _with("headers", "eta", value=SECRET),
    "an eta beyond all time": _with("headers", "eta", value="9999-12-31T23:59:59.999999+00:00"),
    "expires that is no time": _with("headers", "expires", value=SECRET),
}


def raw_messages(changes: dict[str, Callable[[dict[str, Any]], Any]], **options: Any) -> dict[str, bytes]:
    """Name → the bytes in the queue."""
    return {name: json.dumps(change(deepcopy(task(**options)))).encode() for name, change in changes.items()}


_VALUES: tuple[Any, ...] = (
    None,
    True,
    7,
    -1.5,
    10**30,
    "",
    "x",
    "\ud800",
    [],
    [[]],
    {},
    {"__type__": "uuid", "__value__": "x"},
)


def distorted(message: Any) -> Iterator[Any]:
    """The message with each of its parts, at any depth, replaced by values of every kind, or removed."""
    parts = message.items() if isinstance(message, dict) else enumerate(message) if isinstance(message, list) else ()
    for key, part in parts:
        for value in (*_VALUES, *distorted(part)):
            changed = copy(message)
            changed[key] = value
            yield changed
        shorter = copy(message)
        del shorter[key]
        yield shorter


_ALL_HEADERS: dict[str, Any] = {
    "parent_id": None,
    "group": None,
    "group_index": None,
    "shadow": None,
    "eta": None,
    "expires": None,
    "timelimit": [None, 30],
    "origin": "gen1@host",
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": ["a"],
    "stamps": {"a": ["b"]},
    "redelivered": True,
    "headers": {},
    "pause": 0.0,
}


def distorted_tasks(name: str) -> list[bytes]:
    """Messages of a task without arguments, with damage in the envelope and in the body."""
    valid = task(name, [], **_ALL_HEADERS)
    bodies = distorted(json.loads(base64.b64decode(valid["body"])))
    return [json.dumps(each).encode() for each in (*distorted(valid), *({**valid, "body": encoded(body)} for body in bodies))]


NO_JSON: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": SECRET.encode(),
    "no UTF-8": b"\xff\xfe\x00",
    "cut off": json.dumps(task()).encode()[:-20],
    "nested too deeply": b"[" * 100_000,
    "a number of 5,000 digits": b"9" * 5_000,
    "not a number": b'{"body": NaN}',
}
