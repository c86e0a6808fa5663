"""The message that announces the end of a batch, and when it is attempted again. Pure."""

from datetime import datetime, timedelta
from hashlib import blake2b
from http import HTTPStatus

import msgspec
from standardwebhooks import Webhook

from app.audit.entry import timestamp
from app.batches.batch import Batch, CallbackState

TYPE = "batch.ended"
# A receiver that restarts gets the message after seconds; one that is down for a day is asked some 40 times.
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 5.0, 3600.0
TRIED_FOR = timedelta(days=1)


def message(batch: Batch) -> str:
    """The body. It has no personal data: whoever gets it asks the API for more, with a token.

    Returns:
        JSON, the same in each attempt.
    """
    body = {
        "type": TYPE,
        "timestamp": timestamp(batch.finished or batch.created),
        "data": {
            "batch_id": batch.batch_id,
            "status": batch.status,
            "total": batch.total,
            "succeeded": batch.succeeded,
            "failed": batch.failed,
            "erased": batch.erased,
        },
    }
    return msgspec.json.encode(body).decode()


def message_id(tenant: str, batch: Batch) -> str:
    """The id by which a receiver recognizes a repetition.

    The time of creation is part of it, since a batch's id may be used again after the batch was removed.

    Returns:
        The same in each attempt.
    """
    told = f"{tenant}/{batch.batch_id}/{batch.created.timestamp()}"
    return f"msg_{blake2b(told.encode(), digest_size=16).hexdigest()}"


def signed_headers(id_: str, now: datetime, body: str, secrets: list[str]) -> dict[str, str]:
    """The headers of Standard Webhooks, with a signature by each secret. ``now`` is the time of the attempt, UTC."""
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(id_, now, body) for secret in secrets),
    }


def outcome(status: int | None, ended: datetime, now: datetime) -> CallbackState | None:
    """What an attempt means: the status of its answer (None: no answer), when the batch ended, and the time now.

    Returns:
        The outcome; None if it is to be attempted again.
    """
    if status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return CallbackState.DELIVERED
    if status == HTTPStatus.GONE or now - ended >= TRIED_FOR:  # 410: the receiver wants no more (Standard Webhooks)
        return CallbackState.GIVEN_UP
    return None


def wait_seconds(attempts: int, random: float) -> float:
    """How long to wait after so many attempts, at least 1: doubled each time, less a random part (0..1) of up to a half."""
    doubled = FIRST_WAIT_SECONDS * 2.0 ** min(attempts - 1, 20)  # 2^20: far above the longest
    return min(doubled, LONGEST_WAIT_SECONDS) * (1 - random / 2)
