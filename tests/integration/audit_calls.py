"""The audit entries that requests leave."""

import json
from typing import Any

from tests.integration.conftest import FixedTimeApi

QUERY = {"student_id": "s-1"}


def trail(api: FixedTimeApi, tenant: str = "t-1") -> list[dict[str, Any]]:
    """The entries as they are stored, the oldest first."""
    return [json.loads(fields[b"entry"]) for _, fields in api.engine.audit.oldest_first(tenant)]
