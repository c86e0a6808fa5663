"""``Idempotency-Key``: a POST that may be sent again. See ``app/idempotency/idempotency_keys.py``."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec

import msgspec
from flask import Response, request

from api.authentication import engine, principal
from api.responses import ErrorCode, failure, success
from app.idempotency.idempotency_keys import HEADER, Answer, fingerprint

RETRY_AFTER_SECONDS = "1"  # most requests are answered within milliseconds
REPLAYED = "Idempotent-Replayed"

# For the OpenAPI document of routes that honour the header.
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": HEADER,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "A UUID, say, of this request's own: sent again with the same key and body, it gets the same answer",
}
REPLAYED_HEADER = {REPLAYED: {"schema": {"type": "boolean"}, "description": "`true`: this was answered before"}}

P = ParamSpec("P")


class Packing(Generic[P]):
    """What is kept of an answer's data, and how the data is made of that again for a request with the same body.

    What the body says already, and so whoever repeats it, need not be kept: it would fill Redis with what callers choose.
    """

    def __init__(self, pack: Callable[[Any], Any], unpack: Callable[Concatenate[Any, P], Any]) -> None:
        self.pack = pack
        self.unpack = unpack


def idempotent(packing: Packing[P]) -> Callable[[Callable[P, Response]], Callable[P, Response]]:
    """Let requests to a view be sent again; ``packing`` says what is kept of an answer."""
    return lambda view: _once(view, packing)


def _once(view: Callable[P, Response], packing: Packing[P]) -> Callable[P, Response]:
    """Answer a request that has the header once, and its repetitions with the status and the ``data`` or error of that answer.

    First the key is claimed, then the view runs, then its answer is kept: in between, the same request gets 409. If the process
    dies there, or the answer cannot be kept, the view runs anew for the next such request: it must bear that. Events do, since
    each counts once.

    What is refused before (for its token, its role, or as no valid body) leaves no trace: nothing began. After that every
    answer below 500 is kept, a refusal too: "the result of the previously completed operation, success or an error", says the
    draft of a retry. Any other frees the key. Of the headers none is kept.
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
                told = response.get_json()
                kept = {"kept": packing.pack(told["data"])} if told["success"] else {"error": told["error"]}
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
