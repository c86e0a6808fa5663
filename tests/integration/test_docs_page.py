"""/docs in a real browser, under its content security policy. Skips without Chromium, but fails in CI."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from api.examples import STUDENT
from tests.integration.conftest import LiveApi
from tests.stack import wait_for

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE_SECONDS = 30.0
# Policy violations, as reported to the page itself, also while nobody reads the browser's events.
REMEMBER_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        violations.push(`${event.effectiveDirective} refused ${event.blockedURI} in ${event.sourceFile}:${event.lineNumber}`));
"""


class Page:
    """A page in a headless Chromium, over a pipe: Chrome DevTools Protocol, JSON messages that end in a zero byte."""

    def __init__(self, commands: IO[bytes], events: IO[bytes]) -> None:
        self._commands, self._events = commands, events
        self._sent = 0
        self._session: dict[str, str] = {}
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=REMEMBER_VIOLATIONS)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters, **self._session}
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._read()).get("id") != self._sent:
            self._note(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Return as soon as the expression is true."""
        deadline = time.monotonic() + PAGE_SECONDS
        while not self.run(script):
            assert time.monotonic() < deadline, (script, self.complaints, self.run("document.body.innerText"))
            time.sleep(0.05)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait_for(f"location.href === '{url}' && document.readyState === 'complete'")

    def _note(self, event: dict[str, Any]) -> None:
        """Keep errors and warnings of the browser's console."""
        told = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(told["entry"]["text"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        if event.get("method") == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning", "assert"}:
            self.complaints.append(str(told["args"]))

    def _read(self) -> dict[str, Any]:
        message = bytearray()
        while (byte := self._events.read(1)) != b"\0":
            assert byte, "the browser ended"
            message += byte
        event: dict[str, Any] = json.loads(message)
        return event


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A separate headless Chromium. Skips if none is installed, but fails in CI."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        reason = f"none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # It reads commands from descriptor 3 and writes to 4. Its sandbox needs what containers do not allow.
    options = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-pipe"
    script = f'exec "$0" {options} --user-data-dir="$1" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
    with subprocess.Popen(
        ["/bin/sh", "-c", script, browser, str(profile)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Page(process.stdin, process.stdout)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def routes_of(live_api: LiveApi) -> list[str]:
    """The operations of the document."""
    document = requests.get(f"{live_api.url}/openapi.json", timeout=30).json()
    return [
        methods[method]["operationId"] for methods in document["paths"].values() for method in methods.keys() - {"parameters"}
    ]


@contextmanager
def tried_out(page: Page, route: str) -> Iterator[str]:
    """Open a route and its fields, and give its part of the page. It is closed then, since open ones slow the page down."""
    block = f"document.querySelector('[id$=-{route}]')"
    page.run(f"{block}.querySelector('.opblock-summary-control').click()")
    page.wait_for(f"{block}.querySelector('.try-out__btn') !== null")
    page.run(f"{block}.querySelector('.try-out__btn').click()")
    page.wait_for(f"{block}.querySelector('.btn.execute') !== null")
    yield block
    page.run(f"{block}.querySelector('.opblock-summary-control').click()")


def execute(page: Page, block: str) -> str:
    """Call the opened route. Returns the status that the page shows."""
    status = f"({block}.querySelector('.live-responses-table .response .response-col_status')?.innerText ?? '')"
    page.run(f"{block}.querySelector('.btn.execute').click()")
    page.wait_for(f"/^[0-9]+/.test({status})")
    told: str = page.run(status)[:3]
    return told


def test_the_page_shows_and_calls_every_route(page: Page, live_api: LiveApi) -> None:
    """Every route is there, can be opened with its fields and be tried; the policy blocks nothing."""
    document = requests.get(f"{live_api.url}/openapi.json", timeout=30).json()
    page.open(f"{live_api.url}/docs")
    page.wait_for("document.querySelectorAll('.opblock').length > 0")
    shown = page.run("[...document.querySelectorAll('.opblock-summary-path')].map(each => each.dataset.path)")
    assert sorted(set(shown)) == sorted(document["paths"])
    routes = routes_of(live_api)
    assert len(shown) == len(routes)
    for route in routes:
        with tried_out(page, route) as block:
            if route == "getHealth":
                assert execute(page, block) == "200"
                assert "alive" in page.run(f"{block}.querySelector('.live-responses-table').innerText")
    page.run("document.querySelector('.btn.authorize').click()")
    page.wait_for("document.querySelector('.dialog-ux input') !== null")
    assert (page.run("violations"), page.complaints) == ([], [])


# Types into a React field like a person: React ignores a value that is set without an event.
AUTHORIZE = """
    (() => {
        const field = document.querySelector(".dialog-ux input");
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, "%s");
        field.dispatchEvent(new Event("input", {bubbles: true}));
        document.querySelector(".dialog-ux .auth-btn-wrapper .authorize").click();
        document.querySelector(".dialog-ux .close-modal").click();
    })()
"""


def test_execute_untouched(page: Page, live_api: LiveApi) -> None:
    """After authorization, Execute gives a meaningful response on every route, without any other input."""
    routes = routes_of(live_api)
    page.open(f"{live_api.url}/docs?execute")
    page.wait_for("document.querySelectorAll('.opblock').length > 0")
    page.run("document.querySelector('.btn.authorize').click()")
    page.wait_for("document.querySelector('.dialog-ux input') !== null")
    page.run(AUTHORIZE % live_api.authorization()["Authorization"].removeprefix("Bearer "))
    page.wait_for("document.querySelector('.dialog-ux') === null")
    found = {}
    for route in sorted(routes, key=lambda each: each not in {"ingestEvents", "eraseStudent"}):
        with tried_out(page, route) as block:
            found[route] = execute(page, block)
        if route == "ingestEvents":
            wait_for(lambda: live_api.post("/mastery/query", {"student_id": STUDENT}).ok, PAGE_SECONDS)
    unknown = ("getTask", "getBatch", "getBatchResults", "cancelBatch")
    accepted = ("ingestEvents", "createBatch", "eraseStudent")
    expected = dict.fromkeys(routes, "200") | dict.fromkeys(unknown, "404") | dict.fromkeys(accepted, "202")
    expected |= {"compareStudent": "422", "compareCohorts": "404"}  # of a cohort of one student, and one of none
    assert expected == found
