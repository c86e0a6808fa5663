"""The engine's API without its audit trail, to measure what the trail costs.

``gunicorn -c python:api.server 'benchmarks.without_audit:create_app()'`` serves it. The engine has no switch for this: what is
left out is the one function that Flask calls after each request.
"""

from unittest.mock import patch

from flask import Flask

from api import application, wsgi


def create_app() -> Flask:
    """The application as it is, except that no answer leaves an entry."""
    with patch.object(application, "register_audit", lambda _app: None):
        return wsgi.create_app()
