"""Sends callbacks: threads of a worker's processes, which wait for receivers while the processes run tasks."""

import logging
import random
from functools import cache
from threading import BoundedSemaphore, Thread

from app.batches.announce_end import announce_end
from app.batches.callback_store import CallbackClaim
from app.batches.send_callback import CallbackSender
from app.errors import DependencyUnavailable
from app.logs import frames
from tasks.celery import app, engine

# Per process. So many receivers, each of another tenant, may hang before the callbacks of further tenants wait for them.
THREADS = 8
# How long a claim outlasts the time of a receiver: to resolve its name, which takes 20 s if no name server answers, and for
# Redis. A callback whose process died is sent again so long after its start.
MARGIN_SECONDS = 30.0

_free = BoundedSemaphore(THREADS)
_log = logging.getLogger(__name__)


@app.task(name="batches.announce", ignore_result=True, autoretry_for=(), throws=(DependencyUnavailable,))
def announce() -> None:
    """Start threads that send the callbacks that are due, and do not wait for them; beat sends this every few seconds."""
    while _free.acquire(blocking=False):
        try:
            claim = _claim()
            if claim is None:
                _free.release()
                return
            Thread(target=_send_all, args=(claim,), name="callback", daemon=True).start()
        except BaseException:
            _free.release()
            raise


def _send_all(claim: CallbackClaim | None) -> None:
    """Send a callback, and then others while some are due."""
    served = engine()
    try:
        while claim is not None:
            announce_end(
                claim,
                batches=served.batches,
                callbacks=served.callbacks,
                secrets=served.webhook_secrets,
                sender=_sender(),
                now=served.clock(),
                random=random.random(),  # noqa: S311 - the jitter of a delay
            )
            claim = _claim()
    except DependencyUnavailable as error:
        _log.warning("a callback is sent later: %s", error)
    except Exception as error:  # noqa: BLE001 - the outermost edge of a thread
        _log.error("a callback is sent later: %s", frames(error))
    finally:
        _free.release()


def _claim() -> CallbackClaim | None:
    served = engine()
    return served.callbacks.claim(served.settings.callback_timeout_seconds + MARGIN_SECONDS)


@cache
def _sender() -> CallbackSender:
    """This process's sender: the certificates of the system take 30 ms to load."""
    return CallbackSender(engine().settings)
