"""The slow way to decode a struct from JSON, one field at a time.

msgspec's decoder is fast and stops at the first error. This one is used where that one refuses, and tells all errors. It also
takes what JSON Schema takes: ``8.0`` is an integer. Half a surrogate pair in a text (a truncated emoji) counts as U+FFFD, as
the Unicode Standard recommends (section 3.9, "U+FFFD substitution").
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

# A whole pair, half of one, or any other escape; so that the second backslash of \\ud83d begins none.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)

Check = Callable[[Any], object]


def decode_by_field(value: bytes, kinds: Mapping[str, type[Struct]], base: type[Struct], checks: Mapping[str, Check]) -> Any:
    """A struct of the kind that the field ``event_type`` names; of an unknown kind, the fields of ``base`` are judged.

    ``checks`` look at decoded fields and raise InvalidInput. Raises InvalidFields with everything that is wrong.
    """
    raw = _object(mend_surrogates(value), "")
    kind = kinds.get(_text(raw.get("event_type")))
    errors = [] if kind else [InvalidInput("event_type", f"must be one of {', '.join(kinds)}")]
    return _struct(kind or base, raw, "", checks, errors)


def mend_surrogates(value: bytes) -> bytes:
    r"""JSON with half of each surrogate pair that lacks the other (``\ud83d``) replaced by U+FFFD."""
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
        if "regex" in reason:  # which not every reader can read
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
