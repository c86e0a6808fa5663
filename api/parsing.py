"""Request bodies: JSON objects, decoded strictly and validated by a marshmallow schema that rejects unknown fields."""

from typing import Any

from flask import Request
from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from api.fields import IdentifierField

# More than any schema has. Without it, marshmallow would process each unknown field, up to 200,000 in a body of 2 MB.
MAX_FIELDS = 100


def require_few_fields(body: Any) -> None:
    """Raise ValidationError if a decoded body has more fields than any schema."""
    if isinstance(body, dict) and len(body) > MAX_FIELDS:
        raise ValidationError(f"Has more than {MAX_FIELDS} fields.")


class StrictParser(FlaskParser):
    """Decodes bodies with the application's JSON provider. Invalid JSON is rejected before the schema is applied."""

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        if twice := [name for name, values in req.args.lists() if len(values) > 1]:  # the schema would ignore one
            raise ValidationError({name: ["Given twice."] for name in twice})
        return super().load_querystring(req, schema)

    def _raw_load_json(self, req: Request) -> Any:
        if req.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
            raise UnsupportedMediaType  # compressed bodies are not supported (RFC 9110 section 8.4)
        try:
            body = self.decode(req)
        except BadRequest as error:
            raise BadRequest("The body is not JSON in UTF-8, or did not arrive whole.") from error
        require_few_fields(body)
        return body

    def decode(self, req: Request) -> Any:
        """The decoded body. Raises BadRequest for invalid JSON, UnsupportedMediaType for another content type."""
        return req.get_json()


class JsonBlueprint(Blueprint):  # type: ignore[misc]  # flask-smorest has no types
    """A blueprint whose bodies are parsed strictly."""

    ARGUMENTS_PARSER = StrictParser()


class StudentBody(Schema):
    """A body that names a student."""

    student_id = IdentifierField(required=True)
