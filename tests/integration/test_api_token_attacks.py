"""Forged tokens are rejected."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.identity_provider import EC, RSA, THIEF, IdentityProvider, by_rsa, claims, encoded, forged, jwk, signed
from tests.integration.conftest import TokenApi

PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def api(make: Callable[..., TokenApi]) -> TokenApi:
    return make()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, [], {}, 0, True, "none ", "RS256\n"])
def test_not_signed_at_all(make: Callable[..., TokenApi], algorithm: Any) -> None:
    """`alg: none`, in any spelling, with or without a kid or a signature."""
    api = make(MASTERY_JWT_ALGORITHMS="HS256,RS256,ES256")
    for header in ({"alg": algorithm}, {"alg": algorithm, "kid": "rsa-1"}):
        api.refusal(forged(header, claims()))
        api.refusal(forged(header, claims(), by_rsa))


@pytest.mark.parametrize("secret", [PEM, PEM.strip(), json.dumps(jwk(RSA, "rsa-1")).encode(), b"", b"rsa-1"])
def test_a_public_key_is_no_secret(make: Callable[..., TokenApi], secret: bytes) -> None:
    """HS256 with a public key is rejected, even if both algorithms are accepted (RFC 8725 section 2.1)."""
    api = make(MASTERY_JWT_ALGORITHMS="HS256,RS256,ES256")

    def by_public_key(message: bytes) -> bytes:
        return hmac.digest(secret, message, hashlib.sha256)

    for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": "rsa-1"}):
        assert api.refusal(forged(header, claims(), by_public_key)) == "The token's signature is not valid."
    api.refusal(forged({"alg": "RS256", "kid": "rsa-1"}, claims(), by_public_key))


def test_keys_that_a_token_brings(provider: IdentityProvider, api: TokenApi) -> None:
    """Keys, addresses and certificates in a token's header are ignored."""
    mine = jwk(THIEF, "rsa-1")
    for brought in (
        {"jwk": mine},
        {"jku": f"{provider.url}/mine"},
        {"x5u": f"{provider.url}/mine.pem"},
        {"x5c": ["MIIB"]},
        {"jwk": mine, "jku": f"{provider.url}/mine", "crit": ["jku"]},
    ):
        api.refusal(signed(THIEF, "rsa-1", claims(), **brought))
        api.refusal(forged({"alg": "RS256"} | brought, claims(), by_rsa))
        api.refusal(signed(THIEF, "mine", claims(), **brought))
    assert set(provider.requests) == {"/keys"}
    assert api.call(signed(RSA, "rsa-1", claims(), jku=f"{provider.url}/mine")).status_code == 200


@pytest.mark.parametrize("kid", [None, 0, 1, True, ["rsa-1"], {"rsa-1": 1}, "", "RSA-1", "rsa-1\n", "../rsa-1", "x" * 8000])
def test_kids_that_are_none(provider: IdentityProvider, api: TokenApi, kid: Any) -> None:
    """An id must be exactly the provider's; a token without one is rejected, even with a valid signature."""
    api.refusal(forged({"alg": "RS256", "kid": kid}, claims(), by_rsa))
    api.refusal(forged({"alg": "RS256"}, claims(), by_rsa))
    assert len(provider.requests) <= 1


def test_signatures_that_are_none(api: TokenApi) -> None:
    """Truncated, changed or zero signatures, those of another key or algorithm, or for other claims."""
    header, payload, signature = signed(RSA, "rsa-1", claims()).split(".")
    other = encoded(json.dumps(claims(role="admin")).encode())
    first = "A" if signature[0] != "A" else "B"
    for token in (
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}.{payload}.{first}{signature[1:]}",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{other}.{signature}",
        f"{header}.{payload}.{signature}.{signature}",
        signed(THIEF, "rsa-1", claims()),
        signed(EC, "ec-1", claims()).rpartition(".")[0] + "." + encoded(bytes(64)),  # CVE-2022-21449
    ):
        api.refusal(token)
    for algorithm, kid in (("ES256", "rsa-1"), ("RS256", "ec-1"), ("RS512", "rsa-1")):
        api.refusal(forged({"alg": algorithm, "kid": kid}, claims(), by_rsa))


def test_claims_given_twice(api: TokenApi) -> None:
    """The last one counts, for every check (RFC 7519 section 4)."""
    header = {"alg": "RS256", "kid": "rsa-1"}
    rest = json.dumps(claims(role=None, exp=None))[1:]

    def token(*pairs: tuple[str, Any]) -> str:
        twice = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
        return forged(header, f"{{{twice},{rest}".encode(), by_rsa)

    now = int(time.time())
    student = token(("exp", now + 60), ("role", "admin"), ("role", "student"))
    assert [api.call(student, who).status_code for who in ("s-1", "s-2")] == [200, 403]
    assert api.refusal(token(("role", "student"), ("exp", now + 60), ("exp", now - 60))) == "The token has expired."
    assert api.call(token(("role", "student"), ("exp", now - 60), ("exp", now + 60))).status_code == 200


def test_half_a_character(api: TokenApi) -> None:
    """JSON can contain a lone surrogate; it is rejected, also in a token with a valid signature."""
    for name in ("sub", "role", "tenant", "jti", "type"):
        api.refusal(signed(RSA, "rsa-1", claims(**{name: "\ud800"})))
    api.refusal(forged({"alg": "RS256", "kid": "\ud800"}, claims(), by_rsa))
