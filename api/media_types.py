"""The media types that the API answers with; the request's ``Accept`` chooses among those of a route."""

from typing import Any

from flask import request

JSON, NDJSON, CSV, ZIP = "application/json", "application/x-ndjson", "text/csv", "application/zip"


def accepted(*others: str) -> str:
    """JSON, or the one of these other types that the request prefers. JSON too if it accepts none of them."""
    return request.accept_mimetypes.best_match([JSON, *others]) or JSON


def also_text(*types: str) -> dict[str, Any]:
    """What a route's documentation says of a success with these types of text, beside JSON."""
    return {"content": {kind: {"schema": {"type": "string"}} for kind in types}}
