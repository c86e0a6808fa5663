"""Public routes: service information, liveness and readiness."""

from typing import Any, cast

from flask import Flask, Response, current_app
from flask_smorest import Blueprint
from marshmallow import Schema, fields, validate

from api.responses import VERSION, ErrorCode, Failure, envelope, failure, success
from app.bootstrap import Engine
from app.events.event_log import EventLog
from app.health.readiness import Ping, Readiness, SharedReadiness, Status, check_readiness, ping_bridge, ping_redis, ping_state
from app.storage.exported import utc_text
from tasks.health import ping_beat, ping_broker, ping_worker

_READINESS = "readiness"

blueprint = Blueprint("health", __name__, description="Service information and health")


class Info(Schema):
    service = fields.String(required=True)
    version = fields.String(required=True)
    docs = fields.String(required=True)
    openapi = fields.String(required=True)


class Alive(Schema):
    status = fields.String(required=True, metadata={"example": "alive"})


class Dependency(Schema):
    status = fields.String(
        required=True,
        validate=validate.OneOf(list(Status)),
        metadata={"example": "ok", "description": "`degraded`: it answers, but an operator must act"},
    )
    problem = fields.String(required=True, allow_none=True, metadata={"description": "What is wrong; null if nothing is"})
    latency_ms = fields.Float(required=True, metadata={"example": 1.5, "description": "How long its check took"})
    since = fields.DateTime(
        required=True, metadata={"description": "Since when it has this status, as far as the answering process has checked"}
    )


class Ready(Schema):
    status = fields.String(
        required=True,
        metadata={
            "example": "ready",
            "description": "`ready`; `degraded`: all answer, but an operator must act on a problem; or `not ready`",
        },
    )
    dependencies = fields.Dict(keys=fields.String(), values=fields.Nested(Dependency), required=True)


class NotReady(Failure):
    data = fields.Nested(Ready, required=True, metadata={"description": "All dependencies, those that answer too"})


@blueprint.get("/")
@blueprint.doc(operationId="getService", security=[])
@blueprint.response(200, envelope(Info))
def info() -> Response:
    """What this service is"""
    return success({"service": "mastery-engine", "version": VERSION, "docs": "/docs", "openapi": "/openapi.json"})


@blueprint.get("/health")
@blueprint.doc(operationId="getHealth", security=[])
@blueprint.response(200, envelope(Alive))
def alive() -> Response:
    """Whether this process lives"""
    return success({"status": "alive"})


@blueprint.get("/ready")
@blueprint.doc(operationId="getReadiness", security=[])
@blueprint.response(200, envelope(Ready))
@blueprint.alt_response(503, schema=NotReady, description="A dependency does not answer: details names it")
def ready() -> Response:
    """Whether every dependency answers, as checked in the last two seconds"""
    readiness = cast("SharedReadiness", current_app.extensions[_READINESS]).now()
    data = _told(readiness)
    if readiness.ready:
        return success(data)
    details = {name: [problem] for name, problem in readiness.problems.items()}
    return failure(503, ErrorCode.SERVICE_UNAVAILABLE, "Not ready.", details, data=data)


def _told(readiness: Readiness) -> dict[str, Any]:
    dependencies = {
        name: {
            "status": state.status,
            "problem": state.problem or None,
            "latency_ms": round(state.latency * 1000, 1),
            "since": utc_text(state.since),
        }
        for name, state in readiness.dependencies.items()
    }
    return {"status": readiness.status, "dependencies": dependencies}


def register_readiness(app: Flask) -> None:
    """Register the pings of all dependencies."""
    served: Engine = app.extensions["engine"]
    event_log: EventLog = app.extensions["event_log"]
    pings: dict[str, Ping] = {
        "redis": lambda: ping_redis(served.redis, served.settings.key_prefix),
        "broker": ping_broker,
        "kafka": event_log.ping,
        "worker": ping_worker,
        "beat": lambda: ping_beat(served.sweeps),
        "bridge": lambda: ping_bridge(served.bridges),
        "state": lambda: ping_state(served.losses),
    }
    app.extensions[_READINESS] = SharedReadiness(
        lambda before: check_readiness(pings, served.clock(), outages=served.outages, before=before)
    )
