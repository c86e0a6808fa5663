"""The Flask application: ``gunicorn 'api.application:create_app()'``."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import flask_swagger_ui
import msgspec
from flask import Blueprint, Flask
from flask.json.provider import JSONProvider
from flask_jwt_extended import JWTManager
from flask_smorest import Api

from api import health, mastery, task_states
from api.authentication import register_authentication
from api.errors import register_error_handlers
from api.responses import SECURITY_SCHEME, register_correlation
from app.bootstrap import Engine, bootstrap
from app.security.tokens import ALGORITHM

DOCS_PATH = "/docs"


class StrictJson(JSONProvider):
    """JSON by msgspec: fast, and strict where the standard library is not (NaN, infinities, broken UTF-8, deep nesting)."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        return msgspec.json.encode(obj).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        try:
            return msgspec.json.decode(s)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def create_app(engine: Engine | None = None) -> Flask:
    """The API over an engine (one of its own, from the environment, unless given)."""
    engine = engine or bootstrap()
    settings = engine.settings
    app = Flask("api", static_folder=None)
    app.json = StrictJson(app)
    app.extensions["engine"] = engine
    app.config.update(
        MAX_CONTENT_LENGTH=settings.http_max_body_bytes,
        JWT_SECRET_KEY=settings.jwt_secret,
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        API_TITLE="Mastery Engine",
        API_VERSION=version("mastery-engine"),
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH=DOCS_PATH,
        OPENAPI_SWAGGER_UI_URL=f"{DOCS_PATH}/assets/",
        API_SPEC_OPTIONS={
            "info": {"description": "Where does a student stand? Mastery from learning events, in real time."},
            "components": {"securitySchemes": SECURITY_SCHEME},
        },
    )
    JWTManager(app)
    register_correlation(app)
    register_authentication(app)
    api = Api(app)
    register_error_handlers(app)
    for blueprint in (health.blueprint, mastery.blueprint, task_states.blueprint):
        api.register_blueprint(blueprint)
    app.register_blueprint(_docs_assets())
    return app


def _docs_assets() -> Blueprint:
    """Swagger UI's own files, so that the page needs nothing from elsewhere."""
    folder = Path(flask_swagger_ui.__file__).with_name("dist")
    return Blueprint("docs-assets", "api", static_folder=folder, static_url_path="/assets", url_prefix=DOCS_PATH)
