"""The engine's API without its audit trail, to measure the trail's cost.

``gunicorn -c python:api.server 'benchmarks.without_audit:create_app()'`` serves it. The engine has no setting for this; the
after_request hook of the trail is patched out.
"""

from unittest.mock import patch

from flask import Flask

from api import application, wsgi


def create_app() -> Flask:
    """Create the application without audit entries."""
    with patch.object(application, "register_audit", lambda _app: None):
        return wsgi.create_app()
