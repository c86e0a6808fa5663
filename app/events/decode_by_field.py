"""Decodes a struct from JSON field by field: slower than msgspec, but reports all errors.

msgspec's decoder stops at the first error; this one decodes the input that msgspec rejects. Like JSON Schema, it accepts
``8.0`` as an integer. A lone surrogate (a truncated emoji) becomes U+FFFD, as the Unicode Standard recommends (section 3.9,
"U+FFFD substitution").
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from app.errors import InvalidFields, InvalidInput
from app.identifiers import IDENTIFIER_RULE

NOT_JSON = "not JSON in UTF-8"

# A surrogate pair, a lone surrogate, or any other escape, so that the second backslash of \\ud83d does not start one.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)

Check = Callable[[Any], object]


def decode_by_field(value: bytes, kinds: Mapping[str, type[Struct]], base: type[Struct], checks: Mapping[str, Check]) -> Any:
    """Decode a struct. For an unknown ``event_type``, only validates the fields of ``base``.

    Raises InvalidInput if the value is not a JSON object, and InvalidFields with all errors of its fields.

    Args:
        value: The JSON text.
        kinds: Struct types by ``event_type``.
        base: The struct type with the fields common to all kinds.
        checks: Further checks of decoded fields, by dotted path; they raise InvalidInput.

    Returns:
        The struct, of the type that ``event_type`` names.
    """
    raw = _object(replace_lone_surrogates(value), "")
    kind = kinds.get(_text(raw.get("event_type")))
    errors = [] if kind else [InvalidInput("event_type", f"must be one of {', '.join(kinds)}")]
    return _struct(kind or base, raw, "", checks, errors)


def replace_lone_surrogates(value: bytes) -> bytes:
    r"""Replace each lone surrogate escape (``\ud83d``) in JSON by U+FFFD."""
    if rb"\u" not in value:
        return value
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], value)


def _struct(
    kind: type[Struct], raw: Mapping[str, Raw], prefix: str, checks: Mapping[str, Check], errors: list[InvalidInput]
) -> Any:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = prefix + field.name
        if field.name in raw:
            try:
                values[field.name] = _value(raw[field.name], field.type, name, checks)
            except InvalidInput as error:
                errors.extend(error.errors)
        elif field.required:
            errors.append(InvalidInput(name, "is missing"))
    if errors:
        raise InvalidFields(*errors)
    try:
        return kind(**values)
    except ValueError as error:  # its fields contradict each other
        raise InvalidInput(prefix.rstrip("."), str(error)) from error


def _value(raw: Raw, kind: Any, name: str, checks: Mapping[str, Check]) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _struct(kind, _object(raw, name), f"{name}.", checks, [])
    try:
        value = _decode(raw, kind)
    except msgspec.ValidationError as error:
        reason = str(error)
        if "regex" in reason:  # describe the pattern in words
            reason = IDENTIFIER_RULE if name.endswith("_id") else "must not have control characters"
        raise InvalidInput(name, reason) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(name, "is not UTF-8") from error
    if check := checks.get(name):
        check(value)
    return value


def _decode(raw: Raw, kind: Any) -> Any:
    try:
        return _decoder(kind).decode(raw)
    except msgspec.ValidationError:
        try:
            number = _decoder(float).decode(raw)
        except msgspec.ValidationError:
            number = None
        if number is None or not number.is_integer():
            raise
        return msgspec.convert(int(number), kind)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _object(value: bytes | Raw, name: str) -> dict[str, Raw]:
    try:
        return _decoder(dict[str, Raw]).decode(value)  # type: ignore[no-any-return]  # as the decoder says
    except msgspec.ValidationError as error:
        raise InvalidInput(name, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("", NOT_JSON) from error


def _text(raw: Raw | None) -> str:
    try:
        return "" if raw is None else str(_decoder(str).decode(raw))
    except (msgspec.ValidationError, UnicodeDecodeError):
        return ""
