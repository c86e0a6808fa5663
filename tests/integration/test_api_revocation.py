"""POST /auth/revoke: a token is invalid from the next request on, until it would have expired."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import jwt
import pytest
from flask import Flask, request_finished
from werkzeug.test import TestResponse

from api.application import create_app
from api.request_context import RequestContext, context
from app.bootstrap import bootstrap
from app.config.secret_settings import DEVELOPMENT_SECRET
from app.config.settings import Settings, load_settings
from app.roles import Role
from app.security.access import Action, Principal
from cli.stack.ports import claim_port
from consumers.kafka_event_log import KafkaEventLog
from tests.stack import wait_for

MAX, LEEWAY = 30 * 86_400, 10  # the defaults
LONGEST = MAX + 2 * LEEWAY + 1
HOUR = 3600
REVOKED = {"code": "AUTH_ERROR", "message": "The token was revoked.", "details": {}}


def token(**changes: Any) -> str:
    """A student's token for an hour; None omits a claim."""
    now = int(time.time())
    claims = {"sub": "s-1", "role": "student", "tenant": "t-1", "jti": str(uuid4()), "iat": now, "exp": now + HOUR} | changes
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(given, DEVELOPMENT_SECRET, algorithm="HS256")


ADMIN = token(sub="ada", role="admin")


class Api:
    """The API in this process, with the real clock."""

    def __init__(self, settings: Settings) -> None:
        self.engine = bootstrap(settings)
        self.client = create_app(self.engine, KafkaEventLog(self.engine.settings)).test_client()

    def post(self, path: str, bearer: str, body: Any) -> TestResponse:
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {bearer}"})

    def revoke(self, bearer: str, **body: Any) -> dict[str, Any]:
        """The response's data."""
        answer = self.post("/auth/revoke", bearer, body)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.get_json()["data"]
        return data

    def is_good(self, bearer: str) -> bool:
        """Whether the token is accepted; if not, because it was revoked."""
        answer = self.post("/auth/revoke", bearer, {"unknown": 1})
        if answer.status_code == 422:
            return True
        assert (answer.status_code, answer.get_json()["error"]) == (401, REVOKED)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        return False

    def entries(self) -> dict[str, int]:
        """Kind of entry -> seconds until it expires."""
        keys = self.engine.redis.keys(f"{self.engine.settings.key_prefix}:*revoked-*")
        return {key.decode().split(":")[2]: int(self.engine.redis.ttl(key)) for key in keys}  # type: ignore[union-attr]


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    made = Api(settings)
    with closing(made.engine.redis):
        yield made


def assert_until(until: str, seconds: float) -> None:
    """This many seconds from now, plus or minus five."""
    ahead = datetime.fromisoformat(until) - datetime.now(UTC)
    assert abs(ahead - timedelta(seconds=seconds)) < timedelta(seconds=5)
    assert until.endswith("Z")


@pytest.mark.parametrize("role", list(Role))
def test_your_own(api: Api, role: Role) -> None:
    """Everyone may, with an empty object; it is stored until the token has expired, plus the leeway."""
    mine, other = token(role=role, exp=int(time.time()) + 600), token(role=role)
    told = api.revoke(mine)
    assert told["revoked"] == "token"
    assert_until(told["until"], 600 + LEEWAY)
    assert not api.is_good(mine)
    assert api.is_good(other)
    [(kind, seconds)] = api.entries().items()
    assert kind == "revoked-token"
    assert 600 + LEEWAY - 5 < seconds <= 600 + LEEWAY + 1


def test_one_that_expires_now(api: Api) -> None:
    """A token can also be revoked within the leeway."""
    mine = token(iat=None, exp=int(time.time()) - LEEWAY + 3)
    api.revoke(mine)
    assert not api.is_good(mine)


def test_admins_revoke_any_token_of_their_tenant(api: Api) -> None:
    """By its id; its expiry is unknown, so the entry is kept for the longest lifetime. Repeating changes nothing."""
    stolen, elsewhere = token(jti="j-1"), token(jti="j-1", tenant="t-2")
    for _ in range(2):
        told = api.revoke(ADMIN, jti="j-1")
        assert told["revoked"] == "token"
        assert_until(told["until"], LONGEST)
        assert not api.is_good(stolen)
    assert api.is_good(elsewhere)
    assert api.is_good(ADMIN)
    assert LONGEST - 5 < api.entries()["revoked-token"] <= LONGEST


def test_an_admin_knows_when_it_expires(api: Api) -> None:
    """Then the entry is kept until that time, plus the leeway; a later call never shortens that."""
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    for moment in (expires_at.isoformat(), expires_at.isoformat().replace("+00:00", "Z")):
        assert_until(api.revoke(ADMIN, jti="j-1", expires_at=moment)["until"], HOUR + LEEWAY)
        assert HOUR + LEEWAY - 5 < api.entries()["revoked-token"] <= HOUR + LEEWAY + 1
    api.revoke(ADMIN, jti="j-1")
    api.revoke(ADMIN, jti="j-1", expires_at=expires_at.isoformat())
    assert LONGEST - 5 < api.entries()["revoked-token"]


def test_admins_revoke_all_of_a_subject(api: Api) -> None:
    """In any role: all accepted tokens, also those of an issuer whose clock is ahead."""
    now = time.time()
    ahead = [token(sub="s-9", iat=iat, exp=now + HOUR) for iat in (now + LEEWAY, int(now) + LEEWAY, now + LEEWAY - 0.5)]
    old = [*(token(sub="s-9", role=role) for role in Role), token(sub="s-9", iat=None), *ahead]
    elsewhere, others = token(sub="s-9", tenant="t-2"), token(sub="s-8")
    assert all(api.is_good(each) for each in old)
    told = api.revoke(ADMIN, subject="s-9")
    assert told["revoked"] == "subject"
    assert_until(told["until"], LONGEST)
    assert not any(api.is_good(each) for each in old)
    assert all(api.is_good(each) for each in (elsewhere, others, ADMIN))
    assert LONGEST - 5 < api.entries()["revoked-subject"] <= LONGEST


def test_a_subject_is_let_in_again_with_a_later_token(settings: Settings) -> None:
    """As soon as the leeway for the issuer's clock is over; here, in the next second."""
    made = Api(dataclasses.replace(settings, jwt_leeway_seconds=0))
    with closing(made.engine.redis):
        made.revoke(ADMIN, subject="s-9")
        wait_for(lambda: made.is_good(token(sub="s-9")), 10)


@pytest.mark.parametrize("role", [Role.STUDENT, Role.TEACHER, Role.SERVICE])
@pytest.mark.parametrize("target", ["jti", "subject"])
def test_others_may_only_revoke_their_own(api: Api, role: Role, target: str) -> None:
    """403, even for one's own subject: a token does not prove which other tokens are the caller's. Nothing is revoked."""
    mine = token(sub="s-1", jti="j-1", role=role)
    answer = api.post("/auth/revoke", mine, {target: {"jti": "j-1", "subject": "s-1"}[target]})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "FORBIDDEN")
    assert api.is_good(mine)
    assert api.entries() == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"jti": ""}, "jti"),
        ({"jti": None}, "jti"),
        ({"jti": 5}, "jti"),
        ({"jti": ["j-1"]}, "jti"),
        ({"jti": "x" * 256}, "jti"),
        ({"jti": "a\nb"}, "jti"),
        ({"jti": "j-1\n"}, "jti"),
        ({"jti": "\x00"}, "jti"),
        ({"jti": "\x7f"}, "jti"),
        ({"jti": "\x9b"}, "jti"),
        ({"subject": ""}, "subject"),
        ({"subject": "a/b"}, "subject"),
        ({"subject": "s-1\n"}, "subject"),
        ({"jti": "j-1", "subject": "s-1"}, "subject"),
        ({"expires_at": "2030-01-01T00:00:00Z"}, "expires_at"),
        ({"subject": "s-1", "expires_at": "2030-01-01T00:00:00Z"}, "expires_at"),
        ({"jti": "j-1", "expires_at": "soon"}, "expires_at"),
        ({"jti": "j-1", "expires_at": 1_900_000_000}, "expires_at"),
        ({"jti": "j-1", "expires_at": None}, "expires_at"),
        ({"jti": "j-1", "expires_at": "2999-01-01"}, "expires_at"),
        ({"jti": "j-1", "expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"jti": "j-1", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"jti": "j-1", "expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ({"jti": "j-1", "expires_at": "0001-01-01T00:00:00+23:59"}, "expires_at"),
        ({"jti": "j-1", "expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ({"tenant": "t-2"}, "tenant"),
        ({"jti": "j-1", "tenant": "t-2"}, "tenant"),
    ],
    ids=str,
)
def test_what_is_refused(api: Api, body: dict[str, Any], field: str) -> None:
    """422 names the field; nothing is revoked, not the caller's own token either."""
    answer = api.post("/auth/revoke", ADMIN, body)
    assert (answer.status_code, list(answer.get_json()["error"]["details"])) == (422, [field])
    assert api.entries() == {}


def test_the_latest_moment_of_expiry(api: Api) -> None:
    """At most as far ahead as the lifetime of a token."""
    latest = datetime.now(UTC) + timedelta(seconds=MAX)
    api.revoke(ADMIN, jti="j-1", expires_at=(latest - timedelta(seconds=5)).isoformat())
    answer = api.post("/auth/revoke", ADMIN, {"jti": "j-1", "expires_at": (latest + timedelta(seconds=5)).isoformat()})
    assert answer.status_code == 422


@pytest.mark.parametrize("jti", ["x" * 255, "ü 🎓", "a:b}{*", "'; --"])
def test_ids_are_the_issuers(api: Api, jti: str) -> None:
    """Any text can be a token's id."""
    stolen = token(jti=jti)
    api.revoke(ADMIN, jti=jti)
    assert not api.is_good(stolen)


def test_no_entry_ends_before_its_token(api: Api) -> None:
    """The longest-lived token, issued by a clock that is ahead, expires before its entry."""
    now = int(time.time())
    latest = now + LEEWAY - 1
    stolen = token(jti="j-1", iat=latest, exp=latest + MAX)
    assert api.is_good(stolen)
    api.revoke(ADMIN, jti="j-1")
    assert not api.is_good(stolen)
    assert now + api.entries()["revoked-token"] > latest + MAX + LEEWAY


def test_who_was_refused_is_known(api: Api) -> None:
    """A denial has its caller and action, for the audit trail; an admin's revocation has its own action."""
    mine = token(sub="s-1")
    contexts: list[RequestContext] = []

    def keep(_app: Flask, **_: Any) -> None:
        contexts.append(context())

    for bearer, body, status, action in (
        (mine, {"subject": "s-9"}, 403, Action.REVOKE_ANY),
        (mine, {"jti": "j-1"}, 403, Action.REVOKE_ANY),
        (ADMIN, {"subject": "s-9"}, 200, Action.REVOKE_ANY),
        (ADMIN, {"jti": "j-1"}, 200, Action.REVOKE_ANY),
        (mine, {}, 200, Action.REVOKE_OWN),
        (mine, {}, 401, Action.REVOKE_OWN),
    ):
        with request_finished.connected_to(keep):
            assert api.post("/auth/revoke", bearer, body).status_code == status
        who = Principal("ada", Role.ADMIN, "t-1") if bearer == ADMIN else Principal("s-1", Role.STUDENT, "t-1")
        assert (contexts[-1].caller, contexts[-1].action) == (who, action)
        assert list(contexts[-1].data_subjects) == [body[name] for name in body if name == "subject"]


def test_without_redis() -> None:
    """Revocations cannot be checked then: 503 for every token; public routes work."""
    away = Api(load_settings({"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0"}))
    for body in ({}, {"jti": "j-1"}):
        answer = away.post("/auth/revoke", ADMIN, body)
        assert (answer.status_code, answer.get_json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    answer = away.post("/mastery/calculate", ADMIN, {"student_id": "s-1", "components": {}})
    assert answer.status_code == 503
    assert away.client.get("/health", headers={"Authorization": f"Bearer {ADMIN}"}).status_code == 200


def test_a_revoked_token_does_not_use_up_what_its_subject_may_do(redis_url: str) -> None:
    """Its user is counted by address, like anybody without a valid token."""
    names = {"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"}
    api = Api(load_settings(names | {"MASTERY_RATELIMIT_MASTERY": "3/hour", "MASTERY_RATELIMIT_ANONYMOUS": "5/hour"}))
    with closing(api.engine.redis):
        stolen, own = token(), token()
        api.revoke(stolen)
        body = {"student_id": "s-1", "components": {}}
        statuses = [api.post("/mastery/calculate", stolen, body).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        assert [api.post("/mastery/calculate", own, body).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_the_trail_says_which_token(redis_url: str) -> None:
    """By a hash: an admin who knows the id finds the entry, and nobody can read the id."""
    api = Api(load_settings({"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"}))
    with closing(api.engine.redis):
        api.revoke(ADMIN, jti="some-token")
        answer = api.client.get("/audit?action=auth.revoke", headers={"Authorization": f"Bearer {ADMIN}"})
        [entry] = answer.get_json()["data"]["entries"]
        assert entry["details"] == {"token": blake2b(b"some-token", digest_size=16).hexdigest()}


def test_ids_with_control_characters_are_refused_everywhere(redis_url: str) -> None:
    """A token that could not be revoked by its id is not accepted."""
    api = Api(load_settings({"MASTERY_REDIS_URL": redis_url, "MASTERY_KEY_PREFIX": f"test-{uuid4().hex[:12]}"}))
    with closing(api.engine.redis):
        answer = api.post("/auth/revoke", token(jti="x\ny"), {})
        assert answer.get_json()["error"]["message"] == "The token's claim jti is not valid."
