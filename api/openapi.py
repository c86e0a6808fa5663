"""The OpenAPI document at /openapi.json, and a page for it at /docs that needs nothing from elsewhere."""

from pathlib import Path
from typing import Any

import flask_swagger_ui
from apispec import BasePlugin
from flask import Blueprint, Flask
from flask_smorest import Api

from api.responses import VERSION, Failure

DOCS_PATH = "/docs"


class _Refusals(BasePlugin):
    """Says of every route that needs a token how it may be refused."""

    def operation_helper(
        self,
        path: str | None = None,  # noqa: ARG002 - the interface's
        operations: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        for operation in (operations or {}).values():
            refusals = {} if operation.get("security") == [] else {401: "UNAUTHORIZED", 403: "FORBIDDEN"}
            operation["responses"] = dict(sorted({**refusals, **operation["responses"]}.items(), key=lambda each: str(each[0])))


class EnvelopeApi(Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest's registry of blueprints; every failure it documents is the envelope's."""

    ERROR_SCHEMA = Failure


def openapi(app: Flask) -> EnvelopeApi:
    """Serve the document and its page, and return the registry that documents the blueprints registered with it."""
    app.config.update(
        API_TITLE="Mastery Engine",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH=DOCS_PATH,
        OPENAPI_SWAGGER_UI_URL=f"{DOCS_PATH}/assets/",
        OPENAPI_SWAGGER_UI_CONFIG={
            "validatorUrl": None,  # else the page shows the document to swagger.io
            "defaultModelsExpandDepth": 0,  # the routes show their schemas; the list of them all stays folded
        },
        API_SPEC_OPTIONS={
            "info": {"description": "Where does a student stand? Mastery from learning events, in real time."},
            "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
            "security": [{"bearer": []}],
        },
    )
    app.register_blueprint(_docs_assets())
    return EnvelopeApi(app, spec_kwargs={"extra_plugins": [_Refusals()]})


def _docs_assets() -> Blueprint:
    """Swagger UI's own files."""
    folder = Path(flask_swagger_ui.__file__).with_name("dist")
    return Blueprint("docs-assets", "api", static_folder=folder, static_url_path="/assets", url_prefix=DOCS_PATH)
