"""Marshmallow fields of requests: numbers, days, moments, ids, and the limit and cursor of lists."""

import re
from datetime import UTC, datetime
from typing import Any

from marshmallow import fields, validate

from api.examples import STUDENT
from app.identifiers import IDENTIFIER_PATTERN, IDENTIFIER_RULE

# ECMA 262, which OpenAPI uses, has no \Z, and its $ does not match before a trailing newline.
OPENAPI_IDENTIFIER = IDENTIFIER_PATTERN.replace(r"\Z", "$")
IDENTIFIER_ERROR = f"M{IDENTIFIER_RULE[1:]}."
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,18})?")
_FULL_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
# RFC 3339, section 5.6; a subset of ISO 8601.
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
# The id of a stream entry; Redis accepts every id of this form as the end of a range.
_STREAM_ID = "^[1-9][0-9]{0,18}-[0-9]{1,19}$"


class Fraction(fields.Float):
    """A number from 0 to 1; strings are rejected."""

    default_error_messages = {"invalid": "Must be a number from 0 to 1."}  # noqa: RUF012 - marshmallow's interface

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=validate.Range(0, 1), **options)

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **options)


class QueryFraction(Fraction):
    """A number from 0 to 1, as decimal digits in a URL."""

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        return super()._deserialize(float(value) if _DECIMAL.fullmatch(value) else value, *args, **options)


class Flag(fields.Boolean):
    """true or false; other truthy or falsy values are rejected."""

    def _deserialize(self, value: Any, *_args: Any, **_options: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Day(fields.Date):
    """A day as in 2026-10-28 (RFC 3339, full-date); other ISO 8601 forms are rejected."""

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        if not (isinstance(value, str) and _FULL_DATE.fullmatch(value)):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        return super()._deserialize(value, *args, **options)


class IdentifierField(fields.String):
    """An id as defined in design section 4."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=_is_identifier, metadata={"pattern": OPENAPI_IDENTIFIER, "example": STUDENT}, **options)


_is_identifier = validate.Regexp(IDENTIFIER_PATTERN, error=IDENTIFIER_ERROR)


class RawList(fields.List[Any]):
    """A list whose length is checked before its elements are processed; they are left as they are."""

    def _deserialize(self, value: Any, *_args: Any, **_options: Any) -> Any:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        return value


class Moment(fields.AwareDateTime):
    """A moment as in 2026-10-28T12:00:00Z (RFC 3339), converted to UTC; in a URL, the + of an offset is written %2B."""

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        if not _DATE_TIME.fullmatch(value):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        moment: datetime = super()._deserialize(value, *args, **options)
        try:
            return moment.astimezone(UTC)
        except OverflowError:  # at the limits of datetime, where the offset is irrelevant
            return moment.replace(tzinfo=UTC)


class Limit(fields.Integer):
    """The maximum number of list items, as decimal digits in a URL."""

    def __init__(self, *, default: int, most: int) -> None:
        super().__init__(load_default=default, validate=validate.Range(1, most))

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        if not re.fullmatch("[0-9]{1,9}", value):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, *args, **options)


class PatternField(fields.String):
    """Text that matches an ECMA 262 regular expression from ``^`` to ``$``."""

    def __init__(self, pattern: str, error: str, *, required: bool = False, **metadata: Any) -> None:
        form = validate.Regexp(pattern.replace("$", r"\Z"), error=error)
        super().__init__(validate=form, required=required, metadata={"pattern": pattern, **metadata})


class Cursor(PatternField):
    """The position from which a list read from a Redis stream continues."""

    def __init__(self) -> None:
        super().__init__(
            _STREAM_ID, "Must be what was given as next.", description="`next` of the answer before: what is older"
        )
