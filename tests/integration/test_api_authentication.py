"""Authentication: every route except the public ones needs a token with a valid signature and all claims."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import requests

from tests.integration.conftest import LiveApi

NOW = int(datetime.now(UTC).timestamp())
CLAIMS = {"sub": "s-1", "role": "student", "tenant": "t-1", "jti": "j-1", "iat": NOW, "exp": NOW + 3600}
PROTECTED = [
    ("POST", "/mastery/query"),
    ("POST", "/mastery/calculate"),
    ("POST", "/auth/revoke"),
    ("GET", f"/tasks/{'0' * 8}-0000-4000-8000-{'0' * 12}"),
]


def signed(live_api: LiveApi, **changes: Any) -> str:
    """A token with changed claims; None omits one."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, live_api.stack.settings.jwt_secret, algorithm="HS256")


def by_hand(live_api: LiveApi, **changes: Any) -> str:
    """A signed token with claims that the library would not sign."""
    return jwt.api_jws.encode(json.dumps(CLAIMS | changes).encode(), live_api.stack.settings.jwt_secret, algorithm="HS256")


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def unsigned(header: bytes, payload: bytes, signature: bytes = b"") -> str:
    return ".".join((encoded(header), encoded(payload), encoded(signature)))


def call(
    live_api: LiveApi, authorization: str | None, body: bytes = b'{"student_id": "s-1", "components": {}}'
) -> requests.Response:
    headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization is not None else {})
    return requests.post(f"{live_api.url}/mastery/calculate", data=body, headers=headers, timeout=30)


def assert_refused(answer: requests.Response) -> str:
    """401 in the envelope, without the library's message; returns the message."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTH_ERROR")
    assert answer.json()["success"] is False
    assert answer.json()["error"]["details"] == {}
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "Traceback" not in answer.text
    message: str = answer.json()["error"]["message"]
    return message


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_no_token(live_api: LiveApi, method: str, path: str) -> None:
    """Without a token: 401, whatever the route and the body."""
    message = assert_refused(requests.request(method, live_api.url + path, timeout=30))
    assert message == "A valid token is needed: Authorization: Bearer <JWT>."


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"unknown": 1}', b"\xff" * 3_000_000])
def test_the_token_comes_before_the_body(live_api: LiveApi, body: bytes) -> None:
    """An unauthenticated caller does not learn what is wrong with the body."""
    assert_refused(call(live_api, None, body))


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer ..",
        "Basic dXNlcjpwYXNz",
        "Bearer a b c",
        "Bearer \xff\xfe",
        "Token x",
    ],
)
def test_malformed(live_api: LiveApi, authorization: str) -> None:
    """Text that is not a token is rejected like a missing token."""
    assert_refused(call(live_api, authorization))


def test_valid(live_api: LiveApi) -> None:
    """The claims that the tests below vary are sufficient; a student has no cohorts."""
    assert call(live_api, f"Bearer {signed(live_api)}").status_code == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_in_any_case(live_api: LiveApi, scheme: str) -> None:
    """The scheme is case-insensitive (RFC 9110, section 11.1)."""
    assert call(live_api, f"{scheme} {signed(live_api)}").status_code == 200


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("sub", 5),
        ("sub", []),
        ("sub", "a/b"),
        ("jti", 5),
        ("jti", ""),
        ("exp", "tomorrow"),
        ("exp", []),
        ("nbf", "yesterday"),
        ("nbf", {}),
        ("iat", "yesterday"),
        ("iat", []),
        ("role", 5),
        ("tenant", 5),
        ("cohorts", 5),
        ("type", 5),
    ],
)
def test_a_claim_of_the_wrong_type_is_named(live_api: LiveApi, claim: str, value: Any) -> None:
    """This holds whether the library or the engine rejects it."""
    told = assert_refused(call(live_api, f"Bearer {by_hand(live_api, **{claim: value})}"))
    assert told == f"The token's claim {claim} is not valid."


def test_expired(live_api: LiveApi) -> None:
    """An expired token is rejected, and the message says so."""
    assert assert_refused(call(live_api, f"Bearer {signed(live_api, exp=NOW - 60)}")) == "The token has expired."


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": None},
        {"sub": ""},
        {"sub": "a/b"},
        {"sub": "s-1\n"},
        {"sub": "x" * 51},
        {"sub": "schüler"},
        {"role": None},
        {"role": "root"},
        {"role": ["admin"]},
        {"tenant": None},
        {"tenant": ""},
        {"tenant": "t-1:*"},
        {"tenant": 5},
        {"cohorts": "c-1"},
        {"cohorts": {"c-1": True}},
        {"cohorts": ["c/1"]},
        {"cohorts": [1]},
        {"jti": None},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": NOW + 40 * 86_400},
        {"aud": "mastery"},
        {"nbf": NOW + 3600},
        {"iat": NOW + 3600},
        {"type": "refresh"},
    ],
    ids=", ".join,
)
def test_claims(live_api: LiveApi, changes: dict[str, Any]) -> None:
    """Claims that are missing, of the wrong type, unsafe or for another purpose; the message quotes none of them."""
    message = assert_refused(call(live_api, f"Bearer {signed(live_api, **changes)}"))
    assert not any(str(value) in message for value in changes.values() if value not in (None, ""))


def test_wrong_signature(live_api: LiveApi) -> None:
    """A token of another secret, or whose signature or claims were changed or truncated."""
    good = signed(live_api)
    header, claims, signature = good.split(".")
    other = jwt.encode(CLAIMS, "another secret, as long as it needs to be", algorithm="HS256")
    assert assert_refused(call(live_api, f"Bearer {other}")) == "The token's signature is not valid."
    for token in (
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{header}.{claims}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        f"{header}.{encoded(json.dumps(CLAIMS | {'role': 'admin'}).encode())}.{signature}",
    ):
        assert_refused(call(live_api, f"Bearer {token}"))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "HS512", "RS256", "", None, 5])
def test_another_algorithm(live_api: LiveApi, algorithm: Any) -> None:
    """The engine decides on the algorithm, not the token: ``none`` and all others are rejected, signed or not."""
    header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    assert_refused(call(live_api, f"Bearer {unsigned(header, json.dumps(CLAIMS).encode())}"))
    if algorithm in {"HS384", "HS512"}:
        key = live_api.stack.settings.jwt_secret * 2
        assert_refused(call(live_api, f"Bearer {jwt.encode(CLAIMS, key, algorithm=algorithm)}"))


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b"[" * 2500, b"{}"),
        (b'{"alg":"HS256"}', b"[" * 2500),
        (b'{"alg":"HS256"}', b'{"sub":' + b"[" * 2500),
        (b'{"alg":"HS256"}', b'{"exp":' + b"9" * 5000 + b"}"),
        (b'{"alg":"HS256"}', b'{"exp":1e400}'),
        (b'{"alg":"HS256"}', b'{"exp":NaN}'),
        (b'{"alg":"HS256"}', b'{"sub":"\\ud800"}'),
        (b'{"alg":"HS256"}', b"\xff\xfe"),
        (b"[]", b"[]"),
        (b"null", b"null"),
        (b'{"alg":"HS256","b64":false,"crit":["b64"]}', b"{}"),
    ],
)
def test_hostile_json_in_a_token(live_api: LiveApi, header: bytes, payload: bytes) -> None:
    """A token's JSON is parsed before its signature is checked; whatever it contains, it is only rejected."""
    assert_refused(call(live_api, f"Bearer {unsigned(header, payload, b'x' * 32)}"))
