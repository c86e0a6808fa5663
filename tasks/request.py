"""What a worker makes of a message, for machines whose clocks differ."""

from datetime import datetime, timedelta
from typing import Any

from celery.worker import request

from app.clock import system_clock
from tasks.delivery import MAX_RETRY_SECONDS, PAUSE


class Request(request.Request):
    """Waits for as long as the sender said, from now on. Celery goes by the sender's clock: eta and expires are its times."""

    _eta: datetime | None
    _expires: datetime | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pause = self.request_dict.get(PAUSE, 0.0)
        if self._eta is not None or pause > 0:
            self._eta = system_clock() + timedelta(seconds=min(pause, MAX_RETRY_SECONDS))
        self._expires = None
