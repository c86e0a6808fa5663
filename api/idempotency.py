"""``Idempotency-Key``: makes a POST safe to repeat. See ``app/idempotency/idempotency_keys.py``."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec

import msgspec
from flask import Response, request

from api.authentication import engine, principal
from api.responses import ErrorCode, failure, success
from app.idempotency.idempotency_keys import HEADER, MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS, Answer, fingerprint

RETRY_AFTER_SECONDS = "1"  # most requests are answered within milliseconds
REPLAYED = "Idempotent-Replayed"

# For the OpenAPI document of routes that honour the header.
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": HEADER,
    "schema": {"type": "string", "minLength": MIN_KEY_CHARACTERS, "maxLength": MAX_KEY_CHARACTERS, "pattern": "^[!-~]+$"},
    "description": "Unique for the request, such as a UUID: a repetition with the same key and body gets the same answer",
}
REPLAYED_HEADER = {REPLAYED: {"schema": {"type": "boolean"}, "description": "`true`: the answer to an earlier request"}}

P = ParamSpec("P")


class Packing(Generic[P]):
    """Converts an answer's data to what is stored, and back for a repeated request with the same body.

    Data that can be restored from the body is not stored, so that callers cannot fill Redis with it.
    """

    def __init__(self, pack: Callable[[Any], Any], unpack: Callable[Concatenate[Any, P], Any]) -> None:
        self.pack = pack
        self.unpack = unpack


def idempotent(packing: Packing[P]) -> Callable[[Callable[P, Response]], Callable[P, Response]]:
    """Make a view idempotent; ``packing`` converts its answers for storage."""
    return lambda view: _once(view, packing)


def _once(view: Callable[P, Response], packing: Packing[P]) -> Callable[P, Response]:
    """Run the view once per key; repeated requests get the status and the ``data`` or error of the first answer.

    The key is claimed, the view runs, its answer is stored; a repeated request in between gets 409. If the process crashes in
    between, or the answer cannot be stored, the next repetition runs the view again, so the view must tolerate that. Ingest
    does, since events are deduplicated.

    Requests rejected earlier (token, role, invalid body) claim no key. Every answer below 500 is stored, including errors, as
    the IETF draft "The Idempotency-Key HTTP Header Field" requires. Other answers release the key. Headers are not stored.

    Returns:
        The idempotent view.
    """

    @wraps(view)
    def once(*args: P.args, **kwargs: P.kwargs) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return view(*args, **kwargs)
        keys, caller = engine().idempotency_keys, principal()
        print_ = fingerprint(request.method, request.path, request.get_data())
        claim = keys.claim(caller.tenant, caller.identity, key, print_)
        if claim is None:
            message = f"A request with this {HEADER} is being answered."
            return failure(409, ErrorCode.CONFLICT, message, headers={"Retry-After": RETRY_AFTER_SECONDS})
        if isinstance(claim, Answer):
            return _again(claim, lambda kept: packing.unpack(kept, *args, **kwargs))
        with ExitStack() as failing:
            failing.callback(keys.release, claim)
            response = view(*args, **kwargs)
            if response.status_code < 500:
                body = response.get_json()
                kept = {"kept": packing.pack(body["data"])} if body["success"] else {"error": body["error"]}
                keys.keep(claim, Answer(response.status_code, msgspec.json.encode(kept)))
                failing.pop_all()
        return response

    return once


def _again(answer: Answer, unpack: Callable[[Any], Any]) -> Response:
    kept, headers = msgspec.json.decode(answer.body), {REPLAYED: "true"}
    if "kept" in kept:
        return success(unpack(kept["kept"]), answer.status, headers)
    error = kept["error"]
    return failure(answer.status, ErrorCode(error["code"]), error["message"], error["details"], headers)
