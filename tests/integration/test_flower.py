"""Flower shows operators the workers and their tasks, and no personal data."""

import base64
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from flower.urls import handlers
from tornado.routing import URLSpec

from app.events.event import decode_event
from app.events.record_events import record_events
from tasks.celery import HIDDEN
from tests.learning_events import quiz
from tests.stack import Stack, wait_for

SECONDS = 60.0
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()


def test_flower_asks_for_a_password_and_shows_worker_and_tasks(stack: Stack, tmp_path: Path) -> None:
    """Its pages and its API show this stack's worker and tasks, without arguments."""
    url = stack.running.flower_url
    assert requests.get(f"{url}/workers", timeout=10).status_code == 401
    (tmp_path / "events.ndjson").write_text(json.dumps(quiz(tenant_id=uuid4().hex, timestamp=YESTERDAY)))
    stack.mastery("replay", str(tmp_path / "events.ndjson"))

    def page(path: str) -> requests.Response:
        answer = requests.get(f"{url}{path}", auth=("mastery", "mastery"), timeout=10)
        assert answer.status_code == 200
        return answer

    def chunks() -> list[dict[str, Any]]:
        return [task for task in page("/api/tasks").json().values() if task["name"] == "events.record"]

    wait_for(lambda: "celery@" in page("/workers").text, SECONDS)
    wait_for(lambda: any(task["state"] == "SUCCESS" for task in chunks()), SECONDS)
    assert {task["args"] for task in chunks()} == {HIDDEN}


def basic(credentials: bytes) -> str:
    return f"Basic {base64.b64encode(credentials).decode()}"


@pytest.mark.parametrize(
    "authorization",
    [
        basic("é:é".encode()),
        basic("é:é".encode("latin-1")),
        basic("mastery:mästery".encode()),
        basic(b"mastery"),
        basic(b"mastery:mastery:"),
        basic(b"\0:\0"),
        "Basic é:é".encode(),
        "Basic",
        "Basic =",
        "Basic !!!!",
        "Basic a b",
        "Basic " + "A" * 5001,
        "Bearer " + basic(b"mastery:mastery")[6:],
        ", ,",
    ],
    ids=[*range(14)],
)
def test_what_is_not_the_password_is_a_401(stack: Stack, authorization: str | bytes) -> None:
    """Whatever its characters are; for pages and the API."""
    for path in ("/workers", "/api/tasks"):
        answer = requests.get(stack.running.flower_url + path, headers={"Authorization": authorization}, timeout=10)
        assert (answer.status_code, answer.headers.get("WWW-Authenticate"), "Traceback" in answer.text) == (
            401,
            'Basic realm="flower"' if path == "/workers" else None,
            False,
        )


def test_a_password_may_have_any_characters() -> None:
    """This includes non-ASCII characters; the scheme is case-insensitive."""
    script = """
import runpy
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest
authenticated = runpy.run_path("flowerconfig.py")["authenticated"]
class Handler:
    headers = HTTPHeaders({"Authorization": "bAsIc w6k6w6nDqQ=="})
    request = HTTPServerRequest("GET", "/", headers=headers, connection=HTTPConnection())
print(authenticated(Handler))
"""
    names = {"MASTERY_FLOWER_USER": "é", "MASTERY_FLOWER_PASSWORD": "éé", "MASTERY_REDIS_URL": "redis://127.0.0.1/0"}
    shown = subprocess.run([sys.executable, "-c", script], env=os.environ | names, capture_output=True, text=True, check=True)
    assert shown.stdout == "True\n"


def test_flower_answers_without_its_password_only_where_nothing_is_secret(stack: Stack) -> None:
    """Of all its routes: metrics, health check and static files."""
    patterns = {rule.regex.pattern if isinstance(rule, URLSpec) else rule[0] for rule in handlers}
    paths = {
        pattern.rstrip("$").replace("(.+)", "x").replace("(.*)", "css/flower.css").rstrip("/?")
        for pattern in patterns
        if pattern[0] == "/"
    }
    assert len(paths) > 30
    open_paths = {
        path
        for path in paths
        for method in ("GET", "POST")
        if requests.request(method, stack.running.flower_url + path, timeout=10).status_code == 200
    }
    assert open_paths == {"/metrics", "/healthcheck", "/static/css/flower.css", "/logout"}


def test_who_has_flower_s_password_sends_no_tasks_and_reads_no_results(stack: Stack) -> None:
    """Only the API may, which checks access and audits it."""

    def status(method: str, path: str) -> int:
        url, password = f"{stack.running.flower_url}/api/task/{path}", ("mastery", "mastery")
        return requests.request(method, url, json={"args": []}, auth=password, timeout=10).status_code

    tasks = [("POST", f"{way}/audit.summarize") for way in ("apply", "async-apply", "send-task")]
    assert [status(*each) for each in (*tasks, ("GET", f"result/{uuid4()}"))] == [404] * 4
    assert status("GET", "types") == 200


def test_flower_does_not_show_results_either(stack: Stack) -> None:
    """The result of mastery.calculate is about a student."""
    tenant = uuid4().hex
    event = quiz(tenant_id=tenant, student_id="unmistakable", timestamp=YESTERDAY)
    record_events(
        [decode_event(json.dumps(event).encode(), datetime.now(UTC))], stores=stack.engine.mastery, now=datetime.now(UTC)
    )
    answer = requests.post(
        f"{stack.running.http_url}/mastery/calculate",
        json={"student_id": "unmistakable"},
        headers={"Authorization": f"Bearer {stack.token(tenant=tenant)}"},
        timeout=10,
    )
    assert answer.status_code == 200

    def tasks() -> str:
        return requests.get(f"{stack.running.flower_url}/api/tasks", auth=("mastery", "mastery"), timeout=10).text

    wait_for(lambda: "mastery.calculate" in tasks() and '"SUCCESS"' in tasks(), SECONDS)
    assert "unmistakable" not in tasks()
