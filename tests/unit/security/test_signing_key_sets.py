"""Which keys of a JWK Set are usable, and which key a token's header selects. On a real web server."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import RSAAlgorithm

from app.config.settings import Settings, load_settings
from app.errors import DependencyUnavailable
from app.security.signing_keys import PAUSE_SECONDS, SigningKeys, verification_key
from app.security.tokens import InvalidToken
from tests.identity_provider import EC, RSA, IdentityProvider, ec_key, jwk, rsa_key
from tests.unit.security.conftest import Time

UNUSABLE: list[dict[str, Any]] = [
    {},
    {"kty": "RSA", "kid": "x"},
    {"kty": "RSA", "kid": "x", "n": 5, "e": []},
    {"kty": "EC", "kid": "x", "crv": ["P-256"]},
    {"kty": "oct", "kid": "x", "k": "c2VjcmV0"},
    {"kty": "oct", "kid": "x"},
    {"kty": "OKP", "kid": "x", "crv": "Ed25519"},
    {"kty": ["RSA"], "kid": "x"},
    RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"kid": "x"},
    jwk(RSA, "x", use="enc"),
    jwk(RSA, "x", use=["sig"]),
    jwk(RSA, "x", alg="RS512"),
    jwk(RSA, "x", alg="none"),
    jwk(RSA, "x", alg="HS256"),
    jwk(RSA, "x", alg="ES256"),
    jwk(RSA, "x", alg=["RS256"]),
    jwk(RSA, "x") | {"kid": 5},
    jwk(RSA, "x") | {"kid": None},
    jwk(RSA, ""),
    jwk(rsa_key(1024), "x"),
    jwk(ec_key(ec.SECP384R1()), "x"),
    jwk(ec_key(ec.SECP384R1()), "x", alg="ES256"),
]


@pytest.mark.parametrize("unusable", UNUSABLE, ids=range(len(UNUSABLE)))
def test_keys_that_are_passed_over(
    provider: IdentityProvider, keys: SigningKeys, clock: Time, caplog: pytest.LogCaptureFixture, unusable: dict[str, Any]
) -> None:
    """Broken keys, and those without id, for another use or algorithm, or too short, do not hide the valid ones."""
    provider.keys.insert(0, unusable)
    assert keys.key("rsa-1", "RS256")
    for kid in ("x", ""):
        for algorithm in ("RS256", "ES256", "HS256", "none"):
            with pytest.raises(InvalidToken):
                keys.key(kid, algorithm)
    assert caplog.messages == []
    provider.keys = [unusable]
    clock.now += PAUSE_SECONDS
    with pytest.raises(DependencyUnavailable):
        keys.key("rsa-2", "RS256")
    assert caplog.messages == ["identity provider answers with no key that can be used (keys of http://127.0.0.1/keys)"]


def test_one_kid_may_have_a_key_for_each_algorithm(provider: IdentityProvider, keys: SigningKeys) -> None:
    """RFC 7517 section 4.5."""
    provider.keys = [jwk(RSA, "k", use="sig", alg="RS256"), jwk(EC, "k", use="sig", alg="ES256")]
    assert (keys.key("k", "RS256").key_type, keys.key("k", "ES256").key_type) == ("RSA", "EC")


def settings_for(algorithms: str) -> Settings:
    return load_settings({"MASTERY_JWT_ALGORITHMS": algorithms, "MASTERY_JWT_JWKS_URL": "https://idp.example/keys"})


def test_the_header_chooses_among_the_algorithms_of_the_settings(provider: IdentityProvider, keys: SigningKeys) -> None:
    """The secret is for HS256 only, a provider's keys for their own algorithm; others are rejected."""
    both = settings_for("HS256,RS256")
    assert verification_key({"alg": "HS256", "kid": "rsa-1"}, both, keys, "s") == "s"
    assert provider.requests == []
    assert verification_key({"alg": "RS256", "kid": "rsa-1"}, both, keys, "s") == keys.key("rsa-1", "RS256")
    others: list[Any] = ["ES256", "none", "None", "", None, 5, [], {}, "hs256", "HS256 ", "HS512", "\ud800"]
    for algorithm in others:
        with pytest.raises(InvalidToken, match="algorithm is not accepted"):
            verification_key({"alg": algorithm, "kid": "ec-1"}, both, keys, "s")
    with pytest.raises(InvalidToken, match="algorithm is not accepted"):
        verification_key({"alg": "HS256"}, settings_for("RS256,ES256"), keys, "s")


def test_a_token_without_a_kid_is_refused(provider: IdentityProvider, keys: SigningKeys) -> None:
    """Also if the provider has only one key: otherwise a second key would break its tokens."""
    provider.keys = [jwk(RSA, "rsa-1")]
    with pytest.raises(InvalidToken, match="kid"):
        verification_key({"alg": "RS256"}, settings_for("RS256"), keys, "s")
