"""Flower's settings: ``celery --app tasks.celery flower --conf flowerconfig.py``.

Its pages ask for the password. ``/metrics`` (counts by worker and task) and ``/healthcheck`` answer
without it: scrapers have none.
"""

from flower.urls import handlers

from app.settings import settings_or_exit

_settings = settings_or_exit()

basic_auth = [f"{_settings.flower_user}:{_settings.flower_password}"]
address = _settings.flower_host
port = _settings.flower_port

# Whoever operates workers need not see what is known of students, nor act in the name of the API: results and calls of tasks
# are not served. Flower's pages do not use them; they stop, limit and scale.
_CLOSED = ("/api/task/apply/", "/api/task/async-apply/", "/api/task/send-task/", "/api/task/result/")
handlers[:] = [each for each in handlers if not (isinstance(each, tuple) and each[0].startswith(_CLOSED))]
