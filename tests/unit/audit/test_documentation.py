"""docs/audit.md agrees with the code."""

import re
from pathlib import Path

from app.audit.entry import SystemAction
from app.security.access import Action

AUDIT = Path(__file__).parents[3] / "docs" / "audit.md"
WITHOUT_ROUTE = {Action.PROCESS}


def test_every_action_is_explained() -> None:
    """The table has each action once."""
    _, _, below = AUDIT.read_text().partition("| action | what |\n|---|---|\n")
    rows = below.partition("\n\n")[0].split("\n")
    found = [name for row in rows for name in re.findall("`([a-z._-]+)`", row.split(" | ")[0])]
    assert sorted(found) == sorted({*Action, *SystemAction} - WITHOUT_ROUTE)
