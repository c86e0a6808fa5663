"""The audit entries of requests and commands, and a way to run a command in a test."""

import json
from typing import Any

from click.testing import CliRunner, Result

from app.audit.entry import OPERATORS
from app.bootstrap import Engine
from app.config.settings import Settings
from cli.main import main
from tests.integration.conftest import FixedTimeApi

QUERY = {"student_id": "s-1"}


def engine_trail(engine: Engine, name: str = OPERATORS) -> list[dict[str, Any]]:
    """The entries as stored, the oldest first."""
    return [json.loads(fields[b"entry"]) for _, fields in engine.audit.oldest_first(name)]


def trail(api: FixedTimeApi, tenant: str = "t-1") -> list[dict[str, Any]]:
    """The entries as stored, the oldest first."""
    return engine_trail(api.engine, tenant)


def deeds(engine: Engine, name: str = OPERATORS) -> list[tuple[str, dict[str, Any]]]:
    """The actions, with their details."""
    return [(each["action"], each.get("details", {})) for each in engine_trail(engine, name)]


def mastery(settings: Settings, *arguments: str) -> Result:
    """Run a command in this process."""
    environment = {
        "MASTERY_REDIS_URL": settings.redis_url,
        "MASTERY_KAFKA_BOOTSTRAP": settings.kafka_bootstrap or "127.0.0.1:9",
        "MASTERY_KEY_PREFIX": settings.key_prefix,
    }
    done = CliRunner().invoke(main, arguments, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done
