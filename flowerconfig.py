"""Flower's settings: ``celery --app tasks.celery flower --conf flowerconfig.py``. Nobody sees it without the password."""

from app.settings import settings_or_exit

_settings = settings_or_exit()

basic_auth = [f"{_settings.flower_user}:{_settings.flower_password}"]
address = _settings.flower_host
port = _settings.flower_port
