"""Requests of somebody, and the audit entries that they leave."""

import json
from datetime import UTC, datetime
from typing import Any

from werkzeug.test import TestResponse

from app.security.access import Role
from app.security.tokens import development_token
from tests.integration.conftest import FixedTimeApi

QUERY = {"student_id": "s-1"}


def call(
    api: FixedTimeApi,
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    role: Role = Role.ADMIN,
    tenant: str = "t-1",
    subject: str = "tester",
    cohorts: tuple[str, ...] = (),
) -> TestResponse:
    """A request of somebody, with headers of their own."""
    token = development_token(
        api.engine.settings, role=role, tenant=tenant, subject=subject, cohorts=cohorts, now=datetime.now(UTC)
    )
    return api.client.open(path, method=method, json=body, headers={"Authorization": f"Bearer {token}", **(headers or {})})


def trail(api: FixedTimeApi, tenant: str = "t-1") -> list[dict[str, Any]]:
    """The entries as they are stored, the oldest first."""
    return [json.loads(fields[b"entry"]) for _, fields in api.engine.audit.oldest_first(tenant)]
