"""No answer leaves before the audit trail says to whom: who asked for what, about whom, and what came of it."""

import logging
from typing import Any

from flask import Flask, Response, current_app, request

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
    """Write an entry for each request of a known caller that did something, or was not allowed to.

    Registered after all others, this is called before them, so that they see the answer that really leaves. If the entry cannot
    be written, that is 503 instead of the data.
    """

    @app.after_request
    def record(response: Response) -> Response:
        asked, outcome = context(), _outcome(response.status_code)
        who, what = asked.caller, asked.action
        if who is None or what is None or outcome is None:
            return response
        if asked.unavailable == "redis":  # it tells nothing, and the trail is in Redis, for which nobody is to wait twice
            return response
        served = engine()
        made = entry(
            served.clock(),
            Channel.API,
            actor(who),
            what,
            whose=[served.audit.pseudonym(who.tenant, student_id) for student_id in asked.data_subjects],
            outcome=outcome,
            correlation_id=correlation_id(),
            details=asked.audit_details,
        )
        try:
            served.audit.append(who.tenant, made)
        except DependencyUnavailable as error:
            if outcome is AuditOutcome.FAILED:  # it says no more than that
                engine().outages.gone(error, request.endpoint or "")
                return response
            return current_app.make_response(current_app.handle_user_exception(error))
        return response


def set_data_subjects(*student_ids: str) -> None:
    """Say, in a view, whose data the request is about."""
    context().data_subjects = tuple(dict.fromkeys(student_ids))


def details(**facts: str | int | bool) -> None:
    """Say, in a view, what else the entry is to tell."""
    context().audit_details = facts


def signed_actor(*order: Any) -> SignedActor:
    """What a task needs in order to do this in the caller's name: the tenant and the action are those of the request."""
    who = principal()
    return engine().audit.actor_signer.sign([who.tenant, action(), *order], actor(who), correlation_id())


def actor(who: Principal) -> Actor:
    """What a caller is called in the trail of their tenant."""
    if who.role is Role.STUDENT:  # whose id in clear would undo the pseudonym beside it
        return Actor(who.role, engine().audit.pseudonym(who.tenant, who.subject))
    return Actor(who.role, who.subject)


def _outcome(status: int) -> AuditOutcome | None:
    """None for what touched nobody's data: a form that is wrong, a conflict, too many requests."""
    if status < 400:
        return AuditOutcome.ACCEPTED if status == 202 else AuditOutcome.DONE
    return AuditOutcome.FAILED if status >= 500 else _REFUSED.get(status)
