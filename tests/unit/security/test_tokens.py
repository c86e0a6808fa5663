"""The claims that a token needs. Development tokens have them, and exist in development only."""

from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from jwt.exceptions import DecodeError, MissingRequiredClaimError

from app.config.secret_settings import DEVELOPMENT_SECRET
from app.config.settings import Settings, load_settings
from app.errors import SettingsError
from app.roles import Role
from app.security.access import Principal
from app.security.tokens import InvalidToken, claims_of, development_token, refused
from tests.production import PRODUCTION

NOW = datetime.now(UTC)
SECONDS = int(NOW.timestamp())
PAYLOAD = {"sub": "s-1", "role": "student", "tenant": "t-1", "jti": "j-1", "iat": SECONDS, "exp": SECONDS + 3600}
MAX = 86_400
SETTINGS = load_settings({"MASTERY_JWT_MAX_SECONDS": str(MAX), "MASTERY_TOKEN_TTL_SECONDS": "3600"})


def check(settings: Settings = SETTINGS, /, **changes: Any) -> Any:
    """The claims of a payload with changes; None leaves a claim out."""
    payload = {name: value for name, value in (PAYLOAD | changes).items() if value is not None}
    return claims_of(payload, settings, NOW)


def test_the_principal() -> None:
    """Subject, role, tenant, and a teacher's cohorts."""
    assert check().principal == Principal("s-1", Role.STUDENT, "t-1", frozenset())
    teacher = check(role="teacher", cohorts=["c-1", "c-2", "c-1"]).principal
    assert teacher == Principal("s-1", Role.TEACHER, "t-1", frozenset({"c-1", "c-2"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"jti": ":/ ü 🎓"},
        {"jti": "x" * 255},
        {"iat": 1.5 + SECONDS},
        {"exp": 60.5 + SECONDS},
        {"iat": None},
        {"type": "access"},
        {"more": {}},
    ],
)
def test_accepted(changes: dict[str, Any]) -> None:
    """An id is any text; times may have fractions (RFC 7519 section 2); other claims are allowed."""
    check(**changes)


@pytest.mark.parametrize("name", ["sub", "role", "tenant", "jti", "exp"])
def test_missing(name: str) -> None:
    """The message names the claim; null counts as none."""
    for payload in ({**PAYLOAD, name: None}, {key: value for key, value in PAYLOAD.items() if key != name}):
        with pytest.raises(InvalidToken, match=rf"^The token's claim {name} is missing\.$"):
            claims_of(payload, SETTINGS, NOW)


SECRET_VALUE = "`$.secret` - at `$.other`"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sub", SECRET_VALUE),
        ("role", SECRET_VALUE),
        ("role", ["admin"]),
        ("tenant", 5),
        ("jti", ""),
        ("jti", "x" * 256),
        ("jti", "\ud800"),
        ("jti", 5),
        ("exp", "9" * 10),
        ("exp", True),
        ("exp", 1e300),
        ("exp", 10**400),
        ("exp", float("nan")),
        ("iat", -1),
        ("iat", [SECONDS]),
        ("cohorts", SECRET_VALUE),
        ("cohorts", [SECRET_VALUE]),
        ("type", "refresh"),
        ("type", SECRET_VALUE),
    ],
    ids=lambda each: ascii(each).replace(str(SECONDS), "now")[:30],
)
def test_not_valid(name: str, value: Any) -> None:
    """The message names the claim, and does not quote its value."""
    with pytest.raises(InvalidToken, match=rf"^The token's claim {name} is not valid\.$"):
        check(SETTINGS, **{name: value})


@pytest.mark.parametrize("name", ["role", "type"])
def test_half_a_character(name: str) -> None:
    """JSON can contain a lone surrogate in a string."""
    with pytest.raises(InvalidToken, match="Unicode"):
        check(SETTINGS, **{name: "\ud800"})


def test_the_longest_life() -> None:
    """It counts from ``iat``, or without that from now."""
    check(exp=SECONDS + MAX)
    check(iat=None, exp=NOW.timestamp() + MAX)
    for changes in (
        {"exp": SECONDS + MAX + 1},
        {"iat": SECONDS - 10, "exp": SECONDS + MAX - 9},  # so that it does not become good as time goes by
        {"iat": None, "exp": NOW.timestamp() + MAX + 1},
    ):
        with pytest.raises(InvalidToken, match="lives too long"):
            check(**changes)


@pytest.mark.parametrize("audience", ["mastery", ["mastery"], [], "", 5])
def test_an_audience_where_none_is_expected(audience: Any) -> None:
    """RFC 7519 section 4.1.3: such a token must be rejected. If an audience is expected, the library checks it."""
    with pytest.raises(InvalidToken, match="audience"):
        check(aud=audience)
    check(load_settings({"MASTERY_JWT_AUDIENCE": "mastery"}), aud=audience)


def test_what_the_library_found() -> None:
    """A missing claim is named; other errors of the library get a general message."""
    assert str(refused(MissingRequiredClaimError("iss"))) == "The token's claim iss is missing."
    assert str(refused(DecodeError("secret"))) == "A valid token is needed: Authorization: Bearer <JWT>."


def test_development_token() -> None:
    """Subject, role, tenant, cohorts, expiry and an id of its own."""
    token = development_token(SETTINGS, role=Role.TEACHER, tenant="t-1", subject="ada", cohorts=["c-1"], now=NOW)
    payload = jwt.decode(token, DEVELOPMENT_SECRET, algorithms=["HS256"])
    claims = claims_of(payload, SETTINGS, NOW)
    assert claims.principal == Principal("ada", Role.TEACHER, "t-1", frozenset({"c-1"}))
    assert claims.iat is not None
    assert claims.exp - claims.iat == 3600
    assert {"iss", "aud"}.isdisjoint(payload)
    other = development_token(SETTINGS, role=Role.TEACHER, tenant="t-1", subject="ada", now=NOW)
    assert jwt.decode(other, DEVELOPMENT_SECRET, algorithms=["HS256"])["jti"] != claims.jti


def test_development_token_names_issuer_and_audience() -> None:
    """It has them if the settings expect them."""
    settings = load_settings({"MASTERY_JWT_ISSUER": "https://school.example", "MASTERY_JWT_AUDIENCE": "mastery"})
    token = development_token(settings, role=Role.ADMIN, tenant="t-1", subject="ada", now=NOW)
    payload = jwt.decode(token, DEVELOPMENT_SECRET, algorithms=["HS256"], audience="mastery")
    assert (payload["iss"], payload["aud"]) == ("https://school.example", "mastery")


def test_production_has_none() -> None:
    """In production an identity provider issues tokens."""
    settings = load_settings(PRODUCTION)
    with pytest.raises(SettingsError, match="development tokens are refused in production"):
        development_token(settings, role=Role.ADMIN, tenant="t-1", subject="ada", now=NOW)


def test_there_are_none_where_only_a_provider_s_are_accepted() -> None:
    """The API would reject such a token, so none is made."""
    settings = load_settings({"MASTERY_JWT_JWKS_URL": "https://id.example/keys"})
    with pytest.raises(SettingsError, match="MASTERY_JWT_ALGORITHMS"):
        development_token(settings, role=Role.ADMIN, tenant="t-1", subject="ada", now=NOW)
