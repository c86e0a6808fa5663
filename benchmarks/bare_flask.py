"""The baseline of a query: a bare Flask application that verifies the same token and reads the same record once.

``gunicorn -c python:api.server 'benchmarks.bare_flask:create_app()'`` serves it with the engine's server settings. It computes
nothing, only checks that the body is JSON, and answers a few bytes.
"""

from typing import cast

import redis
from flask import Flask, Response, jsonify, request
from flask_jwt_extended import JWTManager, get_jwt, verify_jwt_in_request

from app.config.settings import load_settings


def create_app() -> Flask:
    """Create the application, with the servers of the settings."""
    settings = load_settings()
    client = redis.Redis.from_url(settings.redis_url)
    app = Flask("bare")
    app.config.update(JWT_SECRET_KEY=settings.jwt_secret)
    JWTManager(app)

    @app.post("/mastery/query")
    def query() -> Response:
        verify_jwt_in_request()
        student_id = request.get_json()["student_id"]
        record = client.hgetall(f"{settings.key_prefix}:{{{get_jwt()['tenant']}}}:student:{student_id}")
        return jsonify(student_id=student_id, fields=len(cast("dict[bytes, bytes]", record)))

    return app
