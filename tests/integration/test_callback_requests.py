"""POST /batch/mastery with a callback_url: what is accepted, and what is said about the rest."""

from typing import Any

import pytest

from app.batches.batch import BatchKey
from app.config.settings import Settings
from tests.integration.batch_calls import BATCHES, compute, submit
from tests.integration.conftest import FixedTimeApi, api_with, details

URL = "https://lms.example/ended?batch=1"
LISTED: dict[str, Any] = {"compute": "mastery", "students": [{"student_id": "s-1", "components": {"quiz": 0.5}}]}


@pytest.fixture
def api(api: FixedTimeApi) -> FixedTimeApi:
    """With a webhook secret of its tenant."""
    api.engine.webhook_secrets.create("t-1")
    return api


def refusal(api: FixedTimeApi, url: object, tenant: str = "t-1") -> list[str]:
    return details(api.post(BATCHES, {**LISTED, "callback_url": url}, tenant=tenant))["callback_url"]


def callback(api: FixedTimeApi, batch_id: str) -> str | None:
    state: str | None = api.call(f"{BATCHES}/{batch_id}", method="GET").get_json()["data"]["callback"]
    return state


def test_a_batch_that_will_be_announced(api: FixedTimeApi) -> None:
    """It is pending from the beginning; a batch without a URL has no callback."""
    submit(api, "b-1", **LISTED, callback_url=URL)
    submit(api, "b-2", **LISTED)
    assert (callback(api, "b-1"), callback(api, "b-2")) == ("pending", None)
    compute(api, "b-1")
    compute(api, "b-2")
    claims = [api.engine.callbacks.claim(60), api.engine.callbacks.claim(60)]
    assert [claim and claim.key for claim in claims] == [BatchKey("t-1", "b-1"), None]


def test_a_url_that_is_none(api: FixedTimeApi) -> None:
    """The rule is told; tests of ``place`` have all that is refused."""
    rule = "Must be an https:// URL of at most 2,000 characters, without user name, password and fragment."
    for url in ("http://lms.example/", "https://user@lms.example/", "https://lms.example/#a", "https://" + "x" * 2000, ""):
        assert refusal(api, url) == [rule]


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]"])
def test_an_address_that_is_not_public(api: FixedTimeApi, host: str) -> None:
    """It is refused at once."""
    assert refusal(api, f"https://{host}/") == ["must be at a public address"]


def test_an_address_in_a_network_that_the_operator_allows(settings: Settings) -> None:
    """It is accepted; others are not."""
    with api_with(settings, callback_private_networks="10.0.0.0/8") as api:
        api.engine.webhook_secrets.create("t-1")
        submit(api, **LISTED, callback_url="https://10.0.0.1/")
        assert refusal(api, "https://127.0.0.1/") == ["must be at a public address"]


def test_a_tenant_without_a_secret(api: FixedTimeApi) -> None:
    """It is told what to do."""
    (reason,) = refusal(api, URL, tenant="t-2")
    assert "`mastery webhook-secret create --tenant t-2`" in reason


def test_the_url_is_part_of_the_request(api: FixedTimeApi) -> None:
    """The same id with another URL is another request."""
    submit(api, "b-1", **LISTED, callback_url=URL)
    assert api.post(BATCHES, {**LISTED, "batch_id": "b-1", "callback_url": URL + "2"}).status_code == 409
    submit(api, "b-1", **LISTED, callback_url=URL)
