"""Admins read their tenant's audit trail with GET /audit."""

import dataclasses
import json
from contextlib import closing
from typing import Any

import pytest

from app.audit import read_trail
from app.audit.entry import SystemAction
from app.bootstrap import bootstrap
from app.roles import Role
from app.security.access import Action
from tests.integration.audit_calls import QUERY, trail
from tests.integration.conftest import FixedTimeApi
from tests.learning_events import quiz


def read(api: FixedTimeApi, query: str = "", **caller: Any) -> dict[str, Any]:
    """The response of GET /audit."""
    answer = api.call(f"/audit{query}", method="GET", **caller)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()["data"]
    return told


def test_the_newest_comes_first_with_all_fields(api: FixedTimeApi) -> None:
    """Empty fields are included; the read itself is in the next response."""
    api.post("/mastery/query", QUERY)
    first = read(api)
    assert (first["damaged"], first["next"], len(first["entries"])) == (0, None, 1)
    assert first["entries"][0] | {"correlation_id": ""} == {
        "sequence": 1,
        "at": "2026-10-28T12:00:00.000Z",
        "channel": "api",
        "role": "admin",
        "who": "tester",
        "action": "mastery.query",
        "whose": [api.engine.audit.pseudonym("t-1", "s-1")],
        "outcome": "not_found",
        "correlation_id": "",
        "details": {},
        "students": 1,
    }
    assert [each["action"] for each in read(api)["entries"]] == ["audit.read", "mastery.query"]


def test_a_student_is_found_across_a_change_of_the_key(api: FixedTimeApi) -> None:
    """The search uses the pseudonyms of both keys; nothing counts as damaged."""
    api.post("/mastery/query", QUERY)
    former = api.engine.settings.audit_key
    changed = dataclasses.replace(api.engine.settings, audit_key="the key that comes after it", audit_key_previous=former)
    engine = bootstrap(changed, clock=api.engine.clock)
    with closing(engine.redis):
        later = FixedTimeApi(engine)
        later.post("/mastery/query", QUERY)
        found = read(later, "?student_id=s-1&action=mastery.query")
        assert [each["sequence"] for each in found["entries"]] == [2, 1]
        assert len({each["whose"][0] for each in found["entries"]}) == 2
        assert found["damaged"] == 0


def test_a_filter_that_is_given_twice(api: FixedTimeApi) -> None:
    """Only one of them would apply, so it is an error."""
    answer = api.call("/audit?who=kim&who=lee&limit=5", method="GET")
    assert (answer.status_code, answer.get_json()["error"]["details"]) == (422, {"who": ["Given twice."]})


def test_filters_choose(api: FixedTimeApi) -> None:
    """All given filters must match."""
    api.record(quiz())
    api.call("/mastery/query", QUERY, subject="kim", headers={"X-Correlation-ID": "c-1"})
    api.call("/mastery/query", QUERY, subject="lee", headers={"X-Correlation-ID": "c-2"}, role=Role.SERVICE)
    api.call("/mastery/query", {"student_id": "s-2"}, subject="kim", headers={"X-Correlation-ID": "c-3"})
    api.call("/mastery/calculate", QUERY | {"components": {}}, headers={"X-Correlation-ID": "c-4"})

    def chosen(query: str) -> set[str]:
        return {each["correlation_id"] for each in read(api, query)["entries"]} & {"c-1", "c-2", "c-3", "c-4"}

    assert chosen("") == {"c-1", "c-2", "c-3", "c-4"}
    assert chosen("?student_id=s-1") == {"c-1", "c-4"}
    assert chosen("?who=kim") == {"c-1", "c-3"}
    assert chosen("?role=service") == {"c-2"}
    assert chosen("?action=mastery.calculate") == {"c-4"}
    assert chosen("?outcome=not_found") == {"c-3"}
    assert chosen("?correlation_id=c-3") == {"c-3"}
    assert chosen("?who=kim&outcome=done") == {"c-1"}
    assert chosen("?since=2026-10-28T12:00:00Z&until=2026-10-28T12:00:00.001Z") == {"c-1", "c-2", "c-3", "c-4"}
    assert chosen("?since=2026-10-28T14:00:00%2B02:00") == {"c-1", "c-2", "c-3", "c-4"}
    assert chosen("?since=2026-10-28T12:00:00.001Z") == set()
    assert chosen("?until=2026-10-28T12:00:00Z") == set()
    assert chosen("?until=9999-12-31T23:59:59-23:59&since=0001-01-01T00:00:00%2B23:59") == {"c-1", "c-2", "c-3", "c-4"}


def test_an_admin_reads_the_own_tenants_trail(api: FixedTimeApi) -> None:
    """No parameter gives access to another tenant's trail."""
    api.post("/mastery/query", QUERY)
    assert read(api, tenant="t-2")["entries"] == []
    assert api.call("/audit?tenant=t-1", method="GET", tenant="t-2").status_code == 422


@pytest.mark.parametrize("limit", [1, 3, 5, 500])
def test_pages_follow_each_other(api: FixedTimeApi, limit: int) -> None:
    """Each entry is on exactly one page, though others are written meanwhile."""
    for number in range(10):
        api.call("/mastery/query", QUERY, headers={"X-Correlation-ID": f"c-{number}"})
    seen: list[str] = []
    query = f"?limit={limit}&action=mastery.query"
    told = read(api, query)
    while True:
        assert len(told["entries"]) <= limit
        seen += [each["correlation_id"] for each in told["entries"]]
        if told["next"] is None:
            break
        told = read(api, f"{query}&cursor={told['next']}")
    assert seen == [f"c-{number}" for number in reversed(range(10))]


def test_a_search_is_bounded(api: FixedTimeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """If little is found, the response has a cursor to continue."""
    monkeypatch.setattr(read_trail, "SCAN_LIMIT", 20)
    monkeypatch.setattr(read_trail, "PAGE", 10)
    api.post("/mastery/query", QUERY, subject="first")
    for _ in range(30):
        api.post("/mastery/query", QUERY)
    told = read(api, "?who=first")
    assert (told["entries"], told["next"] is not None) == ([], True)
    told = read(api, f"?who=first&cursor={told['next']}")
    assert ([each["who"] for each in told["entries"]], told["next"]) == (["first"], None)


def test_what_was_tampered_with_is_not_shown_but_counted(api: FixedTimeApi) -> None:
    """Such an entry is evidence of tampering only."""
    api.post("/mastery/query", QUERY)
    key = f"{api.engine.settings.key_prefix}:{{t-1}}:audit"
    forged = {"entry": json.dumps(trail(api)[0] | {"who": "framed"}), "previous": bytes(32), "mac": bytes(32)}
    api.engine.redis.xadd(key, forged)  # type: ignore[arg-type]
    api.engine.redis.xadd(key, {"x": "y"})
    told = read(api)
    assert ([each["who"] for each in told["entries"]], told["damaged"]) == (["tester"], 2)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=1.0", "limit"),
        ("limit=%2B1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=%D9%A3", "limit"),
        (f"limit={'9' * 5000}", "limit"),
        ("cursor=0-0", "cursor"),
        ("cursor=1", "cursor"),
        ("cursor=1-0%0A", "cursor"),
        ("cursor=-", "cursor"),
        ("cursor=99999999999999999999-0", "cursor"),
        ("since=yesterday", "since"),
        ("since=2026-10-28", "since"),
        ("since=2026-10-28T12:00:00", "since"),
        ("since=2026-13-28T12:00:00Z", "since"),
        ("since=2026-10-28T12:00:00+02:00", "since"),
        ("until=", "until"),
        ("role=owner", "role"),
        ("action=drop", "action"),
        ("outcome=fine", "outcome"),
        ("student_id=a/b", "student_id"),
        ("who=a%20b", "who"),
        (f"correlation_id={'x' * 65}", "correlation_id"),
        ("tenant=t-2", "tenant"),
        ("Limit=1", "Limit"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(api: FixedTimeApi, query: str, field: str) -> None:
    """422 names the parameter, whether its value is invalid or it is unknown."""
    answer = api.call(f"/audit?{query}", method="GET")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    assert list(answer.get_json()["error"]["details"]) == [field]


@pytest.mark.parametrize("cursor", ["1-0", "9999999999999999999-9999999999999999999", "1-9999999999999999999"])
def test_any_cursor_of_the_right_form_will_do(api: FixedTimeApi, cursor: str) -> None:
    """This includes cursors that were never returned."""
    assert read(api, f"?cursor={cursor}")["entries"] == []


def test_every_action_can_be_asked_for(api: FixedTimeApi) -> None:
    """These are the actions of callers and of the engine."""
    for action in (*Action, *SystemAction):
        assert read(api, f"?action={action.value}")["damaged"] == 0
