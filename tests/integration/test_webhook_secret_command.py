"""``mastery webhook-secret``: a secret is shown once, and each change is in the audit trail."""

import pytest

from app.bootstrap import Engine
from app.config.settings import Settings
from tests.integration.audit_calls import deeds, engine_trail, mastery

COMMAND = "webhook-secret"


def test_it_prints_the_secret_and_nothing_else(engine: Engine, settings: Settings) -> None:
    """So that it can be piped to where it is needed."""
    made = mastery(settings, COMMAND, "create", "--tenant", "t-1").output
    assert engine.webhook_secrets.of("t-1") == [made.removesuffix("\n")]
    new = mastery(settings, COMMAND, "rotate", "--tenant", "t-1", "--overlap", "1").output
    assert engine.webhook_secrets.of("t-1") == [new.removesuffix("\n"), made.removesuffix("\n")]


def test_a_second_creation_changes_nothing(engine: Engine, settings: Settings) -> None:
    """And shows nothing."""
    made = mastery(settings, COMMAND, "create", "--tenant", "t-1").output.strip()
    again = mastery(settings, COMMAND, "create", "--tenant", "t-1")
    assert (again.exit_code, "rotate it" in again.output, "whsec_" in again.output) == (1, True, False)
    assert engine.webhook_secrets.of("t-1") == [made]


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_tenant_without_a_secret(engine: Engine, settings: Settings, command: str) -> None:
    """There is nothing to change, so nothing is audited either."""
    done = mastery(settings, COMMAND, command, "--tenant", "t-1")
    assert (done.exit_code, done.output) == (1, "Error: t-1 has no webhook secret\n")
    assert engine_trail(engine, "t-1") == []


def test_what_is_no_tenant(settings: Settings) -> None:
    """A misspelt option is no new tenant."""
    done = mastery(settings, COMMAND, "create", "--tenant", "t 1")
    assert (done.exit_code, "--tenant" in done.output, "whsec_" in done.output) == (1, True, False)


def test_each_change_is_audited_without_the_secret(engine: Engine, settings: Settings) -> None:
    """In the tenant's own trail."""
    told = [mastery(settings, COMMAND, command, "--tenant", "t-1").output.strip() for command in ("create", "rotate", "revoke")]
    assert deeds(engine, "t-1") == [(f"webhook-secret.{command}", {}) for command in ("create", "rotate", "revoke")]
    assert all(secret not in str(engine_trail(engine, "t-1")) for secret in told[:2])
    assert engine.webhook_secrets.of("t-1") == []


def test_the_overlap_is_bounded(settings: Settings) -> None:
    """A month at most; none at all is possible."""
    assert mastery(settings, COMMAND, "rotate", "--tenant", "t-1", "--overlap", "721").exit_code == 2
    assert mastery(settings, COMMAND, "rotate", "--tenant", "t-1", "--overlap", "-1").exit_code == 2
