"""The secrets that sign callbacks."""

from base64 import b64decode

import pytest

from app.bootstrap import Engine
from app.errors import InvalidInput, NotFound
from tests.stack import wait_for

SECONDS = 5.0


def test_a_secret_is_as_standard_webhooks_wants_it(engine: Engine) -> None:
    """A prefix, and 24 to 64 random bytes in Base64."""
    made = engine.webhook_secrets.create("t")
    prefix, _, encoded = made.partition("_")
    assert (prefix, 24 <= len(b64decode(encoded, validate=True)) <= 64) == ("whsec", True)
    assert engine.webhook_secrets.of("t") == [made]
    assert engine.webhook_secrets.of("u") == []


def test_a_second_one_is_not_created(engine: Engine) -> None:
    """The first one stays valid."""
    made = engine.webhook_secrets.create("t")
    with pytest.raises(InvalidInput, match="rotate"):
        engine.webhook_secrets.create("t")
    assert engine.webhook_secrets.of("t") == [made]


def test_two_sign_during_a_rotation(engine: Engine) -> None:
    """The new one first; the old one until the overlap has ended."""
    old = engine.webhook_secrets.create("t")
    new = engine.webhook_secrets.rotate("t", 0.2)
    assert engine.webhook_secrets.of("t") == [new, old]
    assert len({old, new}) == 2
    wait_for(lambda: engine.webhook_secrets.of("t") == [new], SECONDS)


def test_a_rotation_without_overlap(engine: Engine) -> None:
    """A leaked secret is replaced at once, also one that still signed beside the current one."""
    engine.webhook_secrets.create("t")
    engine.webhook_secrets.rotate("t", 60)
    newest = engine.webhook_secrets.rotate("t", 0)
    assert engine.webhook_secrets.of("t") == [newest]


def test_nothing_to_rotate(engine: Engine) -> None:
    """A rotation creates no secret."""
    with pytest.raises(NotFound):
        engine.webhook_secrets.rotate("t", 60)
    assert engine.webhook_secrets.of("t") == []


def test_a_revoked_secret_signs_nothing(engine: Engine) -> None:
    """Nor does the one before it."""
    engine.webhook_secrets.create("t")
    engine.webhook_secrets.rotate("t", 60)
    assert engine.webhook_secrets.revoke("t")
    assert engine.webhook_secrets.of("t") == []
    assert not engine.webhook_secrets.revoke("t")
