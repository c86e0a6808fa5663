"""A worker's task request that does not depend on the sender's clock."""

from datetime import datetime, timedelta
from typing import Any

from celery.worker import request

from app.clock import system_clock
from tasks.timing import MAX_RETRY_SECONDS, PAUSE


class Request(request.Request):
    """Delays a task by its PAUSE header from its receipt on. Celery's eta and expires are times of the sender's clock."""

    _eta: datetime | None
    _expires: datetime | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pause = self.request_dict.get(PAUSE, 0.0)
        if self._eta is not None or pause > 0:
            self._eta = system_clock() + timedelta(seconds=min(pause, MAX_RETRY_SECONDS))
        self._expires = None
