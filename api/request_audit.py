"""Writes an audit entry before each answer is sent: who asked for what, about whom, and the outcome."""

import logging
from typing import Any

from flask import Flask, Response, current_app

from api.access import action
from api.authentication import engine, principal
from api.request_context import context
from api.responses import correlation_id
from app.audit.entry import Actor, AuditOutcome, Channel, entry
from app.audit.signed_actor import SignedActor
from app.errors import DependencyUnavailable
from app.roles import Role
from app.security.access import Principal

_REFUSED = {401: AuditOutcome.DENIED, 403: AuditOutcome.DENIED, 404: AuditOutcome.NOT_FOUND}

_log = logging.getLogger(__name__)


def register_audit(app: Flask) -> None:
    """Write an entry for each request of an authenticated caller that performed an action or was denied it.

    Register this last: Flask then calls it first, and the other hooks see the final answer. If the entry cannot be written, the
    answer is replaced with 503.
    """

    @app.after_request
    def record(response: Response) -> Response:
        current, outcome = context(), _outcome(response.status_code)
        who, what = current.caller, current.action
        if who is None or what is None or outcome is None:
            return response
        if current.unavailable == "redis":  # the answer has no data, and a second timeout of Redis would follow
            return response
        served = engine()
        new_entry = entry(
            served.clock(),
            Channel.API,
            actor(who),
            what,
            whose=[served.audit.pseudonym(who.tenant, student_id) for student_id in current.data_subjects],
            outcome=outcome,
            correlation_id=correlation_id(),
            details=current.audit_details,
        )
        try:
            served.audit.append(who.tenant, new_entry)
        except DependencyUnavailable as error:
            if outcome is AuditOutcome.FAILED:  # the answer has no data
                engine().outages.gone(error, current.endpoint)
                return response
            return current_app.make_response(current_app.handle_user_exception(error))
        return response


def set_data_subjects(*student_ids: str) -> None:
    """Set the students whose data the request is about; for views."""
    context().data_subjects = tuple(dict.fromkeys(student_ids))


def details(**facts: str | int | bool) -> None:
    """Set further details of the audit entry; for views."""
    context().audit_details = facts


def signed_actor(*order: Any) -> SignedActor:
    """Sign the caller, for a task that performs this request's action; ``order`` are the task's arguments after the tenant."""
    who = principal()
    return engine().audit.actor_signer.sign([who.tenant, action(), *order], actor(who), correlation_id())


def actor(who: Principal) -> Actor:
    """The caller's name in the tenant's audit trail."""
    if who.role is Role.STUDENT:  # the plain id would reveal whose pseudonym the entry has
        return Actor(who.role, engine().audit.pseudonym(who.tenant, who.subject))
    return Actor(who.role, who.subject)


def _outcome(status: int) -> AuditOutcome | None:
    """The outcome for the audit entry; None if no data was accessed: invalid body, conflict, rate limit."""
    if status < 400:
        return AuditOutcome.ACCEPTED if status == 202 else AuditOutcome.DONE
    return AuditOutcome.FAILED if status >= 500 else _REFUSED.get(status)
