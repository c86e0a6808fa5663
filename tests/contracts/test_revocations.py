"""The store of revoked tokens, on every server."""

import pytest

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from cli.stack.ports import claim_port
from tests.stack import wait_for

ISSUED = 1_800_000_000
HOUR = 3600


def is_revoked(
    engine: Engine, jti: str = "j-1", subject: str = "s-1", tenant: str = "t-1", issued_at: float | None = ISSUED
) -> bool:
    return engine.revocations.is_revoked(tenant, subject, jti, issued_at)


def ttl(engine: Engine) -> int:
    [key] = engine.redis.keys(f"{engine.settings.key_prefix}:*")
    return int(engine.redis.ttl(key))


def test_one_token(engine: Engine) -> None:
    """Only the token of this id and tenant is revoked, for the given time."""
    assert not is_revoked(engine)
    engine.revocations.revoke_token("t-1", "j-1", HOUR)
    assert is_revoked(engine)
    assert is_revoked(engine, issued_at=None)
    assert not is_revoked(engine, jti="j-2")
    assert not is_revoked(engine, tenant="t-2")
    assert HOUR - 5 <= ttl(engine) <= HOUR


@pytest.mark.parametrize("jti", ["a:b}{c", "\x00\n ", "ü🎓" * 100, "*"])
def test_ids_are_the_issuers(engine: Engine, jti: str) -> None:
    """Any id gives a safe and short key."""
    engine.revocations.revoke_token("t-1", jti, HOUR)
    assert is_revoked(engine, jti=jti)
    [key] = engine.redis.keys(f"{engine.settings.key_prefix}:*")
    assert key.startswith(f"{engine.settings.key_prefix}:{{t-1}}:revoked-token:".encode())  # type: ignore[arg-type]
    assert len(key) < 100


def test_revoking_again_never_shortens(engine: Engine) -> None:
    """The longer of two times counts, in any order."""
    engine.revocations.revoke_token("t-1", "j-1", HOUR)
    engine.revocations.revoke_token("t-1", "j-1", 60)
    assert ttl(engine) > HOUR - 5
    engine.revocations.revoke_token("t-1", "j-1", 2 * HOUR)
    assert ttl(engine) > 2 * HOUR - 5


def test_an_entry_ends_by_itself(engine: Engine) -> None:
    """No data about an expired token is kept."""
    engine.revocations.revoke_token("t-1", "j-1", 1)
    engine.revocations.revoke_subject("t-1", "s-1", ISSUED, 1)
    assert is_revoked(engine)
    wait_for(lambda: not is_revoked(engine), 5)
    assert engine.redis.keys(f"{engine.settings.key_prefix}:*") == []


def test_all_of_a_subject(engine: Engine) -> None:
    """Tokens issued up to that second or without a date are revoked; later ones and those of others are not."""
    engine.revocations.revoke_subject("t-1", "s-1", ISSUED + 0.2, HOUR)
    assert HOUR - 5 <= ttl(engine) <= HOUR
    for issued_at in (0, ISSUED - 1, ISSUED, ISSUED + 0.7, None):
        assert is_revoked(engine, jti="any", issued_at=issued_at), issued_at
    assert not is_revoked(engine, issued_at=ISSUED + 1)
    assert not is_revoked(engine, subject="s-2")
    assert not is_revoked(engine, tenant="t-2")
    engine.revocations.revoke_subject("t-1", "s-1", ISSUED + 5, HOUR)
    assert is_revoked(engine, issued_at=ISSUED + 5)


def test_an_earlier_moment_takes_nothing_back(engine: Engine) -> None:
    """A host with a slow clock does not make tokens valid again, or end the revocation sooner."""
    engine.revocations.revoke_subject("t-1", "s-1", ISSUED + 10, HOUR)
    engine.revocations.revoke_subject("t-1", "s-1", ISSUED - 10, 60)
    assert is_revoked(engine, issued_at=ISSUED + 10)
    assert ttl(engine) > HOUR - 5
    engine.revocations.revoke_subject("t-1", "s-1", ISSUED + 20, 2 * HOUR)
    assert is_revoked(engine, issued_at=ISSUED + 20)
    assert ttl(engine) > 2 * HOUR - 5


def test_asking_is_one_round_trip(engine: Engine) -> None:
    """Every request makes this call."""
    is_revoked(engine)  # connects with HELLO
    before = engine.redis.info("stats")["total_commands_processed"]
    for _ in range(10):
        is_revoked(engine)
    assert engine.redis.info("stats")["total_commands_processed"] - before <= 11  # the first INFO counts itself


def test_without_redis() -> None:
    """Then revocations can be neither checked nor stored."""
    away = bootstrap(load_settings({"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0"})).revocations
    for call in (
        lambda: away.is_revoked("t-1", "s-1", "j-1", ISSUED),
        lambda: away.revoke_token("t-1", "j-1", HOUR),
        lambda: away.revoke_subject("t-1", "s-1", ISSUED, HOUR),
    ):
        with pytest.raises(DependencyUnavailable):
            call()
