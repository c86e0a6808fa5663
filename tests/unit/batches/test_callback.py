"""The message about a batch's end, and when it is attempted again."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.batches.batch import Batch, BatchOrder, BatchStatus, CallbackState
from app.batches.callback import LONGEST_WAIT_SECONDS, TRIED_FOR, message, message_id, outcome, signed_headers, wait_seconds
from app.mastery.formula import DEFAULT_WEIGHTS

ENDED = datetime(2026, 10, 28, 12, 0, 0, 250_000, tzinfo=UTC)
BATCH = Batch(
    batch_id="b-1",
    order=BatchOrder(day=1, weights=DEFAULT_WEIGHTS, owner="teacher:chen", cohort_id="c-1", callback_url="https://a.example/"),
    status=BatchStatus.PARTLY_FAILED,
    created=ENDED - timedelta(seconds=3),
    finished=ENDED,
    total=10,
    succeeded=8,
    failed=2,
)
OLD, NEW = "whsec_" + "b2xk" * 8, "whsec_" + "bmV3" * 8


def test_the_message() -> None:
    """What ended, when and how; nobody's name."""
    assert json.loads(message(BATCH)) == {
        "type": "batch.ended",
        "timestamp": "2026-10-28T12:00:00.250Z",
        "data": {"batch_id": "b-1", "status": "partly_failed", "total": 10, "succeeded": 8, "failed": 2, "erased": 0},
    }


def test_the_id_is_that_of_the_batch() -> None:
    """It is the same in each attempt; another tenant's batch, or a later one of the same id, has another."""
    later = msgspec.structs.replace(BATCH, created=BATCH.created + timedelta(days=2))
    ids = {message_id("t", BATCH), message_id("u", BATCH), message_id("t", later)}
    assert len(ids) == 3
    assert message_id("t", BATCH) in ids
    assert all(each.startswith("msg_") and "." not in each for each in ids)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_both_secrets_sign_during_a_rotation(secret: str) -> None:
    """A receiver that has either accepts the message, and the attempt's time."""
    now = datetime.now(UTC)
    headers = signed_headers("msg_1", now, message(BATCH), [NEW, OLD])
    assert Webhook(secret).verify(message(BATCH), headers)["data"]["batch_id"] == "b-1"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(message(BATCH) + " ", headers)


@pytest.mark.parametrize(
    ("status", "hours", "expected"),
    [
        (200, 0, CallbackState.DELIVERED),
        (204, 30, CallbackState.DELIVERED),
        (299, 0, CallbackState.DELIVERED),
        (410, 0, CallbackState.GIVEN_UP),
        *((status, 0, None) for status in (None, 103, 199, 300, 301, 302, 307, 308, 400, 401, 404, 429, 500, 503)),
        (500, 23.9, None),
        (500, 24, CallbackState.GIVEN_UP),
        (None, 30, CallbackState.GIVEN_UP),
    ],
)
def test_what_an_answer_means(status: int | None, hours: float, expected: CallbackState | None) -> None:
    """2xx is delivered, 410 wants no more, everything else is tried for a day."""
    assert outcome(status, ENDED, ENDED + timedelta(hours=hours)) is expected


def test_waits_double_up_to_an_hour() -> None:
    """Without the random part, which shortens them by at most a half."""
    assert [wait_seconds(attempts, 0) for attempts in (1, 2, 3, 10, 11, 5000)] == [5, 10, 20, 2560, 3600, 3600]
    assert [wait_seconds(attempts, 1) for attempts in (1, 12)] == [2.5, LONGEST_WAIT_SECONDS / 2]


def test_a_receiver_that_is_down_for_a_day_is_asked_a_few_dozen_times() -> None:
    """The last wait begins within the day."""
    waited, attempts = 0.0, 0
    while waited < TRIED_FOR.total_seconds():
        attempts += 1
        waited += wait_seconds(attempts, 0)
    assert 30 <= attempts <= 40
