"""Who may send events over HTTP."""

import pytest

from app.errors import AccessDenied
from app.events.ingest_events import require_sender
from app.security.access import Principal, Role


@pytest.mark.parametrize("role", [Role.SERVICE, Role.ADMIN])
def test_senders(role: Role) -> None:
    """Services, and admins."""
    require_sender(Principal("s-1", role, "t-1"))


@pytest.mark.parametrize("role", [Role.STUDENT, Role.TEACHER])
def test_others_are_refused(role: Role) -> None:
    """Nobody gives themselves a mark."""
    with pytest.raises(AccessDenied, match="you may not send events"):
        require_sender(Principal("s-1", role, "t-1", frozenset({"c-1"})))
