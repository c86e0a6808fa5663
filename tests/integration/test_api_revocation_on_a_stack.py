"""A revoked token is rejected on every route of a whole stack."""

from typing import Any

import requests

from app.roles import Role
from tests.integration.conftest import LiveApi

REVOKED = {"code": "AUTH_ERROR", "message": "The token was revoked.", "details": {}}


def test_on_the_whole_stack(live_api: LiveApi) -> None:
    """The next request with the token is rejected, on every route; another token of the subject is accepted."""
    mine, other = (
        live_api.authorization(role=Role.STUDENT, subject="s-1"),
        live_api.authorization(role=Role.STUDENT, subject="s-1"),
    )

    def post(path: str, headers: dict[str, str], body: Any) -> requests.Response:
        return requests.post(live_api.url + path, json=body, headers=headers, timeout=30)

    asked = {"student_id": "s-1", "components": {}}
    assert post("/mastery/calculate", mine, asked).status_code == 200
    assert post("/auth/revoke", mine, {}).json()["data"]["revoked"] == "token"
    for path in ("/mastery/calculate", "/mastery/query", "/mastery/ingest", "/auth/revoke"):
        answer = post(path, mine, {})
        assert (answer.status_code, answer.json()["error"]) == (401, REVOKED)
    assert requests.get(f"{live_api.url}/health", headers=mine, timeout=30).status_code == 200
    assert post("/mastery/calculate", other, asked).status_code == 200
    assert live_api.post("/auth/revoke", {"subject": "s-1"}).json()["data"]["revoked"] == "subject"
    assert post("/mastery/calculate", other, asked).json()["error"] == REVOKED
