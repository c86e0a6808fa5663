"""Announces the end of a batch at its callback URL, once more or for the last time."""

import logging
from datetime import datetime

from app.batches.batch import Batch, CallbackState
from app.batches.batch_store import BatchStore
from app.batches.callback import message, message_id, outcome, signed_headers, wait_seconds
from app.batches.callback_store import CallbackClaim, CallbackStore
from app.batches.send_callback import CallbackSender, NotSent
from app.batches.webhook_secrets import WebhookSecrets
from app.errors import NotFound

_log = logging.getLogger(__name__)


def announce_end(
    claim: CallbackClaim,
    *,
    batches: BatchStore,
    callbacks: CallbackStore,
    secrets: WebhookSecrets,
    sender: CallbackSender,
    now: datetime,
    random: float,
) -> None:
    """Attempt a callback, note what came of it, and give up the claim. ``random`` (0..1) is the jitter of the next attempt.

    If the process dies on the way, the message is sent again: a receiver recognizes it by its id.
    """
    key = claim.key
    try:
        batch = batches.read(key)
    except NotFound:
        _log.warning("batch %s was removed before its end was announced", key)
        callbacks.release(claim)
        return
    if batch.callback is not CallbackState.PENDING or batch.finished is None:
        callbacks.release(claim)
        return
    status, told = _attempt(key.tenant, batch, secrets=secrets, sender=sender, now=now)
    result = outcome(status, batch.finished, now)
    attempts = callbacks.note(key, result)
    callbacks.release(claim, None if result else wait_seconds(max(attempts, 1), random))
    if result is CallbackState.GIVEN_UP:
        _log.error("batch %s: its callback is given up after %d attempts: %s", key, attempts, told)
    elif result is None:
        _log.info("batch %s: attempt %d of its callback failed: %s", key, attempts, told)


def _attempt(
    tenant: str, batch: Batch, *, secrets: WebhookSecrets, sender: CallbackSender, now: datetime
) -> tuple[int | None, str]:
    """The status of the answer, None without one; and the result in words."""
    known = secrets.of(tenant)
    if not known:
        return None, "the tenant's webhook secret was revoked"
    body = message(batch)
    headers = signed_headers(message_id(tenant, batch), now, body, known)
    try:
        status = sender.post(batch.order.callback_url, body.encode(), _ALWAYS | headers)
    except NotSent as error:
        return None, str(error)
    return status, f"it answers {status}"


_ALWAYS = {"Content-Type": "application/json", "User-Agent": "mastery-engine"}
