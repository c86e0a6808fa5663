"""Request bodies: JSON objects, decoded strictly, then checked by a marshmallow schema that refuses what it does not know."""

from typing import Any

from flask import Request
from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from api.fields import IdentifierField

# More than any schema knows. Each that is unknown would be looked at, and a body of 2 MB has room for 200,000.
MAX_FIELDS = 100


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


class StudentBody(Schema):
    """A body that names a student."""

    student_id = IdentifierField(required=True)
