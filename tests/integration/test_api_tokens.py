"""Tokens of an identity provider: signed by keys that rotate, while it is away, and as attackers make them."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from werkzeug.test import TestResponse

from api.application import create_app
from app.bootstrap import bootstrap
from app.config.secret_settings import DEVELOPMENT_SECRET
from app.config.settings import load_settings
from app.security.signing_keys import LIFESPAN_SECONDS, PAUSE_SECONDS, SigningKeys
from consumers.event_log import KafkaEventLog
from tests.identity_provider import IdentityProvider, ec_key, encoded, forged, jwk, rsa_key, signed
from tests.stack import wait_for

RSA, EC, THIEF = rsa_key(), ec_key(), rsa_key()
PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
LEEWAY = 10  # the default
CLAIMS = {"sub": "s-1", "role": "student", "tenant": "t-1", "jti": "j-1"}
UNKNOWN_KEY = "The token's key is not known."


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a token of an hour; None leaves one out."""
    now = int(time.time())
    return {name: value for name, value in (CLAIMS | {"iat": now, "exp": now + 3600} | changes).items() if value is not None}


def by_rsa(message: bytes) -> bytes:
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())


class Api:
    """The API in this process, with settings for tokens of its own, and time for its keys."""

    def __init__(self, redis_url: str, provider: IdentityProvider, **variables: str) -> None:
        names = {"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"}
        settings = load_settings({"MASTERY_JWT_JWKS_URL": provider.url} | names | variables)
        self.now = 1000.0
        self.engine = replace(bootstrap(settings), signing_keys=SigningKeys(provider.url, lambda: self.now))
        self.app = create_app(self.engine, KafkaEventLog(self.engine.settings))

    def call(self, token: str, student_id: str = "s-1") -> TestResponse:
        body, headers = {"student_id": student_id, "components": {}}, {"Authorization": f"Bearer {token}"}
        return self.app.test_client().post("/mastery/calculate", json=body, headers=headers)

    def refusal(self, token: str) -> str:
        """The message of the 401 that the token gets."""
        answer = self.call(token)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (401, "AUTH_ERROR"), answer.text
        message: str = answer.get_json()["error"]["message"]
        return message


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    running = IdentityProvider()
    running.keys = [jwk(RSA, "rsa-1"), jwk(EC, "ec-1")]
    yield running
    running.stop()


@pytest.fixture
def make(redis_url: str, provider: IdentityProvider) -> Iterator[Callable[..., Api]]:
    with ExitStack() as made:

        def make(**variables: str) -> Api:
            api = Api(redis_url, provider, **variables)
            made.callback(api.engine.redis.close)
            return api

        yield make


@pytest.fixture
def api(make: Callable[..., Api]) -> Api:
    return make()


def test_signed_by_the_provider(provider: IdentityProvider, api: Api) -> None:
    """RS256 and ES256 with the keys of the JWKS URL; it is asked once, and then not for each token."""
    for _ in range(3):
        assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200
        assert api.call(signed(EC, "ec-1", claims())).status_code == 200
    assert len(provider.requests) == 1


def test_the_secret_can_be_replaced(make: Callable[..., Api]) -> None:
    """The new one and the one before are good for tokens until the latter is taken away; another never is."""
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


def test_what_else_is_wrong_with_a_token_of_the_former_secret_is_told(make: Callable[..., Api]) -> None:
    """As of any; and without a word about secrets."""
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
    provider: IdentityProvider, make: Callable[..., Api], algorithms: str, accepted: set[str]
) -> None:
    """No other is accepted, however well it is signed; where only the secret counts, no provider is asked."""
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


def test_keys_rotate(provider: IdentityProvider, api: Api) -> None:
    """A new key works 30 s after the last fetch at the latest; the old one until the provider has taken it away."""
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


def test_a_token_that_was_verified_still_expires(make: Callable[..., Api]) -> None:
    """Remembering it prolongs nothing."""
    api = make(MASTERY_JWT_LEEWAY_SECONDS="0")
    token = signed(RSA, "rsa-1", claims(exp=time.time() + 2))
    assert api.call(token).status_code == 200
    wait_for(lambda: api.call(token).status_code == 401, 10)
    assert api.refusal(token) == "The token has expired."


def test_tokens_that_differ_by_a_character_are_not_taken_for_each_other(api: Api) -> None:
    """What is remembered is the whole of a token, its signature included."""
    token = signed(RSA, "rsa-1", claims())
    assert api.call(token).status_code == 200
    assert api.refusal(token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]) == "The token's signature is not valid."


def test_random_kids(provider: IdentityProvider, api: Api) -> None:
    """Whoever sends them has the provider asked once, and keeps nobody out."""
    assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200
    api.now += PAUSE_SECONDS
    tokens = [forged({"alg": "RS256", "kid": str(uuid4())}, claims(), by_rsa) for _ in range(100)]
    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(api.refusal, tokens)) == {UNKNOWN_KEY}
    assert len(provider.requests) == 2
    assert api.call(signed(RSA, "rsa-1", claims())).status_code == 200


def test_the_provider_is_away(provider: IdentityProvider, api: Api) -> None:
    """Known keys go on working; of others nothing can be told, on routes that need a token."""
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
def test_what_a_token_must_say(make: Callable[..., Api], changes: dict[str, Any], message: str) -> None:
    """The answer says what is wrong, so that a developer can put it right, and repeats nothing of the token."""
    api = make(MASTERY_JWT_ISSUER="https://school.example", MASTERY_JWT_AUDIENCE="mastery")
    names = {"iss": "https://school.example", "aud": ["other", "mastery"]}
    assert api.call(signed(RSA, "rsa-1", claims(**names))).status_code == 200
    payload = claims(**names | changes)
    # Not by PyJWT, which refuses to sign some of them.
    assert api.refusal(forged({"alg": "RS256", "kid": "rsa-1"}, payload, by_rsa)) == message


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [("exp", 5 - LEEWAY, -1 - LEEWAY), ("nbf", LEEWAY - 5, LEEWAY + 5), ("iat", LEEWAY - 5, LEEWAY + 5)],
)
def test_clocks_may_differ(api: Api, name: str, accepted: int, refused: int) -> None:
    """By the leeway, in each claim that is a time."""
    now = int(time.time())
    assert api.call(signed(RSA, "rsa-1", claims(**{name: now + accepted}))).status_code == 200
    api.refusal(signed(RSA, "rsa-1", claims(**{name: now + refused})))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, [], {}, 0, True, "none ", "RS256\n"])
def test_not_signed_at_all(make: Callable[..., Api], algorithm: Any) -> None:
    """`alg: none`, in any spelling, with or without a kid or a signature."""
    api = make(MASTERY_JWT_ALGORITHMS="HS256,RS256,ES256")
    for header in ({"alg": algorithm}, {"alg": algorithm, "kid": "rsa-1"}):
        api.refusal(forged(header, claims()))
        api.refusal(forged(header, claims(), by_rsa))


@pytest.mark.parametrize("secret", [PEM, PEM.strip(), json.dumps(jwk(RSA, "rsa-1")).encode(), b"", b"rsa-1"])
def test_a_public_key_is_no_secret(make: Callable[..., Api], secret: bytes) -> None:
    """HS256 with what everybody can read is refused, where both kinds are accepted (RFC 8725 section 2.1)."""
    api = make(MASTERY_JWT_ALGORITHMS="HS256,RS256,ES256")

    def by_public_key(message: bytes) -> bytes:
        return hmac.digest(secret, message, hashlib.sha256)

    for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": "rsa-1"}):
        assert api.refusal(forged(header, claims(), by_public_key)) == "The token's signature is not valid."
    api.refusal(forged({"alg": "RS256", "kid": "rsa-1"}, claims(), by_public_key))


def test_keys_that_a_token_brings(provider: IdentityProvider, api: Api) -> None:
    """What its header embeds or points to is not looked at: neither a key, nor an address, nor a certificate."""
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
def test_kids_that_are_none(provider: IdentityProvider, api: Api, kid: Any) -> None:
    """An id is the very text that the provider gave; a token without one is refused, well signed as it may be."""
    api.refusal(forged({"alg": "RS256", "kid": kid}, claims(), by_rsa))
    api.refusal(forged({"alg": "RS256"}, claims(), by_rsa))
    assert len(provider.requests) <= 1


def test_signatures_that_are_none(api: Api) -> None:
    """Cut off, changed, of zeros, of another key or algorithm, or under other claims."""
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


def test_claims_given_twice(api: Api) -> None:
    """The last one counts, for every check alike (RFC 7519 section 4)."""
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


def test_half_a_character(api: Api) -> None:
    """JSON can write half of one; in a token that is well signed, too, it is refused and breaks nothing."""
    for name in ("sub", "role", "tenant", "jti", "type"):
        api.refusal(signed(RSA, "rsa-1", claims(**{name: "\ud800"})))
    api.refusal(forged({"alg": "RS256", "kid": "\ud800"}, claims(), by_rsa))
