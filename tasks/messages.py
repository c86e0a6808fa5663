"""Validation of messages before Celery and kombu process them. A malformed one would crash the worker, again and again.

The schema is that of Celery's message protocol 2 in JSON, as far as the engine's processes use it.
"""

from typing import Any, Literal

import msgspec
from kombu.transport.virtual.base import Base64
from kombu.utils.json import loads


class _DeliveryInfo(msgspec.Struct):
    exchange: str
    routing_key: str


class _Properties(msgspec.Struct):
    delivery_tag: str
    delivery_info: _DeliveryInfo
    body_encoding: Literal["base64"]
    correlation_id: str | None = None
    reply_to: str | None = None
    priority: int | None = None


class _Headers(msgspec.Struct):
    compression: None = None  # not used


class _TaskHeaders(_Headers, kw_only=True):
    task: str
    id: str
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    shadow: str | None = None
    lang: str | None = None
    origin: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    eta: str | None = None
    expires: str | None = None
    retries: int | None = None
    timelimit: tuple[float | None, float | None] | None = None
    ignore_result: bool | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None
    pause: float = 0.0
    published_at: float = 0.0


class _Message(msgspec.Struct):
    body: str
    properties: _Properties
    headers: _Headers
    content_type: Literal["application/json"] = msgspec.field(name="content-type")
    content_encoding: Literal["utf-8"] = msgspec.field(name="content-encoding")


class _Task(_Message):
    headers: _TaskHeaders


class _Canvas(msgspec.Struct):
    callbacks: list[dict[str, Any]] | None = None
    errbacks: list[dict[str, Any]] | None = None
    chain: list[dict[str, Any]] | None = None
    chord: dict[str, Any] | None = None


def task_name(item: bytes) -> str | None:
    """The task name in a message; None if it is not a task."""
    try:
        return msgspec.json.decode(item, type=_Task).headers.task
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def due_at(item: bytes) -> float | None:
    """Since when a task may run: when it was published, and the delay that its sender asked for later. Unix time in seconds.

    Returns:
        The time; None if the message is no task, or does not tell.
    """
    try:
        headers = msgspec.json.decode(item, type=_Task).headers
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return headers.published_at + headers.pause if headers.published_at else None


def task_arguments(item: bytes, name: str) -> list[Any] | None:
    """The arguments in a message of this task; None if it is another task or none."""
    if task_name(item) != name:
        return None
    try:
        arguments, *_ = msgspec.json.decode(Base64().decode(msgspec.json.decode(item, type=_Task).body))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return list(arguments)


def flaw(item: bytes, *, is_task: bool) -> str | None:
    """Why a message is malformed, without quoting it; None if it is valid."""
    try:
        envelope = msgspec.convert(_read(item), _Task if is_task else _Message)
        body = _read(Base64().decode(envelope.body))
        if is_task:
            msgspec.convert(body, tuple[list[Any], dict[str, Any], _Canvas])
    except msgspec.ValidationError as error:
        return f"is no {'task' if is_task else 'message'}: {_place(error)}"
    except Exception as error:  # noqa: BLE001 - kombu's JSON creates objects of named types, which may raise anything
        return f"cannot be read: {type(error).__name__}"
    return None


def _read(text: bytes) -> Any:
    """Decode JSON like kombu, but strictly: the standard library accepts lone surrogates and NaN."""
    msgspec.json.decode(text)
    return loads(text.decode())


def _place(error: msgspec.ValidationError) -> str:
    """The error and its path, without values of the message; msgspec writes its keys as ``[...]``."""
    text, _, path = str(error).partition(" - at ")
    reason = "not what this engine writes" if text.startswith("Invalid enum value") else text
    return f"{reason} at {path}" if path else reason
