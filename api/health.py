"""Public routes: service information, liveness and readiness."""

from typing import cast

from flask import Flask, Response, current_app
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from api.responses import VERSION, ErrorCode, Failure, envelope, failure, success
from app.bootstrap import Engine
from app.events.event_log import EventLog
from app.health.readiness import OK, Ping, SharedReadiness, check_readiness, ping_bridge, ping_redis, ping_state
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


class Ready(Schema):
    status = fields.String(
        required=True,
        metadata={
            "example": "ready",
            "description": "`ready`; or `degraded`: all answer, but an operator must act on a problem in `dependencies`",
        },
    )
    dependencies = fields.Dict(keys=fields.String(), values=fields.String(metadata={"example": "ok"}), required=True)


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
@blueprint.alt_response(503, schema=Failure, description="A dependency does not answer: details names it")
def ready() -> Response:
    """Whether every dependency answers"""
    readiness = cast("SharedReadiness", current_app.extensions[_READINESS]).now()
    if readiness.ready:
        return success({"status": readiness.status, "dependencies": readiness.dependencies})
    details = {name: [state] for name, state in readiness.dependencies.items() if state != OK}
    return failure(503, ErrorCode.SERVICE_UNAVAILABLE, "Not ready.", details)


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
    app.extensions[_READINESS] = SharedReadiness(lambda: check_readiness(pings, served.outages))
