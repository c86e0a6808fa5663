"""The API agrees with its OpenAPI document: schemathesis generates valid and invalid requests from it.

schemathesis also loads this file in its own process, for the authentication.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis import AuthContext, Case

from app.config.settings import load_settings
from app.roles import Role
from app.security.tokens import development_token
from tests.integration.conftest import LiveApi
from tests.integration.test_api_service import resolved
from tests.stack import without_settings

TENANT_VARIABLE = "CONTRACT_TENANT"
SEED = "604916"  # the same requests each time, so that a failure can be reproduced
EXAMPLES = "60"  # for each route in the fuzzing phase: 20 seconds in total
# All checks but two: data that fits the document may still be rejected (a future date, an event of another tenant), and DELETE
# cancels a batch, whose results stay.
NOT_CHECKED = "positive_data_acceptance,use_after_free"
PHASES = "examples,coverage,fuzzing,stateful"


@schemathesis.auth(refresh_interval=None)
class Admin:
    """An admin with a new token for each request, since POST /auth/revoke revokes its own."""

    def get(self, _case: Case[Any], _context: AuthContext) -> str:
        settings, tenant = load_settings(), os.environ[TENANT_VARIABLE]
        return development_token(settings, role=Role.ADMIN, tenant=tenant, subject=f"a-{uuid4()}", now=datetime.now(UTC))

    def set(self, case: Case[Any], data: str, _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


def unbounded(document: dict[str, Any], schema: dict[str, Any], name: str) -> Iterator[str]:
    """The unbounded parts of a request's schema: text, lists and numbers of any size, objects with any field."""
    schema = resolved(document, schema)
    if name in {"/mastery/ingest.event", "/mastery/ingest.events[]"}:
        return  # validated like events from Kafka: unknown fields are ignored, whatever their length
    if "oneOf" in schema:
        for choice in schema["oneOf"]:
            yield from unbounded(document, choice, name)
        return
    types: str | list[str] = schema.get("type", "any")
    bounds = {
        "string": {"maxLength", "enum", "format"} & schema.keys() or re.search(r"\{\d,\d+\}\$$", schema.get("pattern", "")),
        "number": {"minimum", "maximum"} <= schema.keys(),
        "integer": {"minimum", "maximum"} <= schema.keys(),
        "array": "maxItems" in schema,
        "object": schema.get("additionalProperties") is False,
        "any": False,
    }
    if not all(bounds.get(type_, True) for type_ in ([types] if isinstance(types, str) else types)):
        yield name
    for inner, described in schema.get("properties", {}).items():
        yield from unbounded(document, described, f"{name}.{inner}")
    if "items" in schema:
        yield from unbounded(document, schema["items"], f"{name}[]")


# Invalid values are replaced or dropped, not rejected; the server limits their length.
FREE_HEADERS = {"X-Correlation-ID", "Prefer", "traceparent"}


def test_every_input_is_bounded(live_api: LiveApi) -> None:
    """Every field of a body and every parameter has a length or a range, and no body accepts unknown fields."""
    document = live_api.get("/openapi.json").json()
    found: list[str] = []
    for path, methods in document["paths"].items():
        for operation in (methods[method] for method in methods.keys() - {"parameters"}):
            for parameter in (
                resolved(document, each) for each in [*methods.get("parameters", []), *operation.get("parameters", [])]
            ):
                if parameter["name"] not in FREE_HEADERS:
                    found += unbounded(document, parameter["schema"], f"{path} {parameter['name']}")
            if "requestBody" in operation:
                found += unbounded(document, operation["requestBody"]["content"]["application/json"]["schema"], path)
    assert found == []


def test_answers_are_as_documented(live_api: LiveApi, tmp_path: Path) -> None:
    """No 5xx; only documented statuses, headers, content types and bodies; nothing that the document forbids is accepted."""
    document = live_api.get("/openapi.json").json()
    ingest = document["paths"]["/mastery/ingest"]["post"]["requestBody"]["content"]["application/json"]
    assert live_api.post("/mastery/ingest", ingest["examples"]["event"]["value"]).status_code == 202  # its student is known now
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run", f"{live_api.url}/openapi.json"),
            *("--phases", PHASES, "--max-examples", EXAMPLES, "--seed", SEED, "--exclude-checks", NOT_CHECKED),
            *("--generation-database", "none", "--continue-on-failure"),
        ],
        env=without_settings(measured=False)  # it runs next to nothing of the engine
        | {TENANT_VARIABLE: live_api.tenant, "SCHEMATHESIS_HOOKS": __name__, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,  # it writes files to its working folder
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    tested = re.search(r"Selected: (\d+)/(\d+)\n  Tested: (\d+)", ended.stdout)
    routes = sum(len(methods.keys() - {"parameters"}) for methods in document["paths"].values())
    assert tested is not None, ended.stdout
    assert {int(number) for number in tested.groups()} == {routes}, ended.stdout
