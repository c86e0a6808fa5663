"""Request bodies: JSON objects, decoded strictly, then checked by a marshmallow schema that refuses what it does not know."""

import re
from typing import Any

from flask import Request
from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError, fields, validate
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from api.examples import STUDENT
from app.identifiers import IDENTIFIER_PATTERN

# ECMA 262, which OpenAPI uses, has no \Z, and its $ does not match before a trailing newline.
_OPENAPI_PATTERN = IDENTIFIER_PATTERN.replace(r"\Z", "$")
# More than any schema knows. Each that is unknown would be looked at, and a body of 2 MB has room for 200,000.
MAX_FIELDS = 100
_FULL_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


class StrictParser(FlaskParser):
    """Decodes bodies with the application's JSON provider. Broken JSON, or none at all, is refused before any schema."""

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        if twice := [name for name, values in req.args.lists() if len(values) > 1]:  # of which one would not be looked at
            raise ValidationError({name: ["Given twice."] for name in twice})
        return super().load_querystring(req, schema)

    def _raw_load_json(self, req: Request) -> Any:
        if req.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
            raise UnsupportedMediaType  # RFC 9110 section 8.4: it would have to be decoded
        try:
            body = self.decode(req)
        except BadRequest as error:
            raise BadRequest("The body is not JSON in UTF-8, or did not arrive whole.") from error
        if isinstance(body, dict) and len(body) > MAX_FIELDS:
            raise ValidationError(f"Has more than {MAX_FIELDS} fields.")
        return body

    def decode(self, req: Request) -> Any:
        """The body as JSON values. Raises BadRequest for what is no JSON, UnsupportedMediaType for what does not say it is."""
        return req.get_json()


class JsonBlueprint(Blueprint):  # type: ignore[misc]  # flask-smorest has no types
    """A blueprint whose bodies are parsed strictly."""

    ARGUMENTS_PARSER = StrictParser()


class Fraction(fields.Float):
    """A number from 0 to 1; text that looks like one is refused."""

    default_error_messages = {"invalid": "Must be a number from 0 to 1."}  # noqa: RUF012 - marshmallow's way

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=validate.Range(0, 1), **options)

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **options)


class Flag(fields.Boolean):
    """true or false; nothing that merely could mean it."""

    def _deserialize(self, value: Any, *_args: Any, **_options: Any) -> Any:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Day(fields.Date):
    """A day as in 2026-10-28 (RFC 3339, full-date); not the other forms that ISO 8601 has."""

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        if not (isinstance(value, str) and _FULL_DATE.fullmatch(value)):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        return super()._deserialize(value, *args, **options)


class IdentifierField(fields.String):
    """An id, as design section 4 has it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=_is_identifier, metadata={"pattern": _OPENAPI_PATTERN, "example": STUDENT}, **options)


_is_identifier = validate.Regexp(IDENTIFIER_PATTERN, error="Must be 1 to 50 letters, digits, _ or -.")


class StudentBody(Schema):
    """A body that names a student."""

    student_id = IdentifierField(required=True)
