"""Tokens of an identity provider: signed by keys that rotate, and validated by their claims."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import jwt
import pytest

from app.config.secret_settings import DEVELOPMENT_SECRET
from app.security.signing_keys import LIFESPAN_SECONDS, PAUSE_SECONDS
from tests.identity_provider import EC, RSA, THIEF, IdentityProvider, by_rsa, claims, forged, jwk, signed
from tests.integration.conftest import TokenApi
from tests.stack import wait_for

LEEWAY = 10  # the default
UNKNOWN_KEY = "The token's key is not known."


@pytest.fixture
def api(make: Callable[..., TokenApi]) -> TokenApi:
    return make()


def test_signed_by_the_provider(provider: IdentityProvider, api: TokenApi) -> None:
    """RS256 and ES256 with keys of the JWKS URL, which is fetched once, not for each token."""
    for _ in range(3):
        assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200
        assert api.call(signed(EC, "ec-1", claims())).status_code == 200
    assert len(provider.requests) == 1


def test_the_secret_can_be_replaced(make: Callable[..., TokenApi]) -> None:
    """The new secret and the previous one are accepted until the latter is removed; others never are."""
    old, new = "o" * 32, "n" * 32
    tokens = {secret: jwt.encode(claims(), secret, algorithm="HS256") for secret in (old, new, "x" * 32)}
    steps = [
        ({"MASTERY_JWT_SECRET": old}, {old}),
        ({"MASTERY_JWT_SECRET": new, "MASTERY_JWT_SECRET_PREVIOUS": old}, {new, old}),
        ({"MASTERY_JWT_SECRET": new}, {new}),
    ]
    for variables, accepted in steps:
        api = make(MASTERY_JWT_ALGORITHMS="HS256", **variables)
        for secret, token in tokens.items():
            if secret in accepted:
                assert api.call(token).status_code == 200
            else:
                assert api.refusal(token) == "The token's signature is not valid."


def test_what_else_is_wrong_with_a_token_of_the_former_secret_is_told(make: Callable[..., TokenApi]) -> None:
    """The error is the usual one, and does not mention secrets."""
    api = make(MASTERY_JWT_ALGORITHMS="HS256,RS256", MASTERY_JWT_SECRET="n" * 32, MASTERY_JWT_SECRET_PREVIOUS="o" * 32)
    expired = jwt.encode(claims(exp=int(time.time()) - 60), "o" * 32, algorithm="HS256")
    assert api.refusal(expired) == "The token has expired."
    assert api.refusal(signed(THIEF, "rsa-1", claims())) == "The token's signature is not valid."
    assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200


@pytest.mark.parametrize(
    ("algorithms", "accepted"),
    [("", {"RS256", "ES256"}), ("HS256", {"HS256"}), ("RS256", {"RS256"}), ("HS256,ES256", {"HS256", "ES256"})],
)
def test_the_settings_name_the_algorithms(
    provider: IdentityProvider, make: Callable[..., TokenApi], algorithms: str, accepted: set[str]
) -> None:
    """Other algorithms are rejected, even with a valid signature; with HS256 only, no provider is called."""
    api = make(MASTERY_JWT_ALGORITHMS=algorithms)
    tokens = {
        "HS256": jwt.encode(claims(), DEVELOPMENT_SECRET, algorithm="HS256"),
        "RS256": signed(RSA, "rsa-1", claims()),
        "ES256": signed(EC, "ec-1", claims()),
    }
    for algorithm, token in tokens.items():
        if algorithm in accepted:
            assert api.call(token).status_code == 200, algorithm
        else:
            assert api.refusal(token) == "The token's algorithm is not accepted."
    assert len(provider.requests) == (0 if accepted == {"HS256"} else 1)


def test_keys_rotate(provider: IdentityProvider, api: TokenApi) -> None:
    """A new key works 30 s after the last fetch at the latest; an old one until a fetch without it."""
    new, old = signed(THIEF, "rsa-2", claims()), signed(RSA, "rsa-1", claims())
    assert api.call(old).status_code == 200
    provider.keys.append(jwk(THIEF, "rsa-2"))
    assert api.refusal(new) == UNKNOWN_KEY
    api.now += PAUSE_SECONDS
    assert [api.call(token).status_code for token in (new, old)] == [200, 200]
    del provider.keys[0]
    api.now += PAUSE_SECONDS
    assert api.refusal(signed(THIEF, "rsa-3", claims())) == UNKNOWN_KEY
    assert api.refusal(signed(RSA, "rsa-1", claims(jti="j-2"))) == UNKNOWN_KEY
    assert api.call(old).status_code == 200  # it was verified within the last minute


def test_a_token_that_was_verified_still_expires(make: Callable[..., TokenApi]) -> None:
    """The cache does not extend its lifetime."""
    api = make(MASTERY_JWT_LEEWAY_SECONDS="0")
    token = signed(RSA, "rsa-1", claims(exp=time.time() + 2))
    assert api.call(token).status_code == 200
    wait_for(lambda: api.call(token).status_code == 401, 10)
    assert api.refusal(token) == "The token has expired."


def test_tokens_that_differ_by_a_character_are_not_taken_for_each_other(api: TokenApi) -> None:
    """The cache key is the whole token, including its signature."""
    token = signed(RSA, "rsa-1", claims())
    assert api.call(token).status_code == 200
    assert api.refusal(token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]) == "The token's signature is not valid."


def test_random_kids(provider: IdentityProvider, api: TokenApi) -> None:
    """They cause one fetch, and do not affect others."""
    assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200
    api.now += PAUSE_SECONDS
    tokens = [forged({"alg": "RS256", "kid": str(uuid4())}, claims(), by_rsa) for _ in range(100)]
    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(api.refusal, tokens)) == {UNKNOWN_KEY}
    assert len(provider.requests) == 2
    assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200


def test_the_provider_is_away(provider: IdentityProvider, api: TokenApi) -> None:
    """Known keys keep working; tokens with others get 503, on routes that need a token."""
    assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200
    provider.stop()
    api.now += LIFESPAN_SECONDS * 10
    unknown = signed(RSA, "rsa-2", claims())
    answer = api.call(unknown)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.get_json()["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200
    assert api.app.test_client().get("/health", headers={"Authorization": f"Bearer {unknown}"}).status_code == 200
    provider.start(provider.port)


NOW = int(time.time())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": NOW - 60}, "The token has expired."),
        ({"nbf": NOW + 3600}, "The token is not valid yet."),
        ({"iat": NOW + 3600}, "The token is not valid yet."),
        ({"exp": NOW + 40 * 86_400}, "The token lives too long: its claim exp is too far ahead."),
        ({"iss": None}, "The token's claim iss is missing."),
        ({"iss": "https://other.example"}, "The token is from another issuer."),
        ({"iss": "https://school.example/"}, "The token is from another issuer."),
        ({"iss": ["https://school.example"]}, "The token is from another issuer."),
        ({"aud": None}, "The token's claim aud is missing."),
        ({"aud": "other"}, "The token is meant for another audience."),
        ({"aud": ["other", "mastery-2"]}, "The token is meant for another audience."),
        ({"aud": {"mastery": 1}}, "The token is meant for another audience."),
        ({"sub": None}, "The token's claim sub is missing."),
        ({"exp": None}, "The token's claim exp is missing."),
        ({"jti": None}, "The token's claim jti is missing."),
        ({"role": "root"}, "The token's claim role is not valid."),
        ({"type": "refresh"}, "The token's claim type is not valid."),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value),
)
def test_what_a_token_must_say(make: Callable[..., TokenApi], changes: dict[str, Any], message: str) -> None:
    """The error explains the problem to a developer, and quotes nothing of the token."""
    api = make(MASTERY_JWT_ISSUER="https://school.example", MASTERY_JWT_AUDIENCE="mastery")
    names = {"iss": "https://school.example", "aud": ["other", "mastery"]}
    assert api.call(signed(RSA, "rsa-1", claims(**names))).status_code == 200
    payload = claims(**names | changes)
    # Not with PyJWT, which refuses to sign some of them.
    assert api.refusal(forged({"alg": "RS256", "kid": "rsa-1"}, payload, by_rsa)) == message


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [("exp", 5 - LEEWAY, -1 - LEEWAY), ("nbf", LEEWAY - 5, LEEWAY + 5), ("iat", LEEWAY - 5, LEEWAY + 5)],
)
def test_clocks_may_differ(api: TokenApi, name: str, accepted: int, refused: int) -> None:
    """By the leeway, in each time claim."""
    now = int(time.time())
    assert api.call(signed(RSA, "rsa-1", claims(**{name: now + accepted}))).status_code == 200
    api.refusal(signed(RSA, "rsa-1", claims(**{name: now + refused})))
