"""What a call of a store does to Redis."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.contracts.ailing_server import Refuses

STUDENT = "s-secret"  # must not be in any log

# The weakest refusal that rejects a call. A call that only reads is rejected only if everything is.
READS, WRITES, GROWS = Refuses.ALL, Refuses.WRITES, Refuses.GROWTH


class Call(NamedTuple):
    """A call, and its minimal effect on Redis."""

    does: Refuses
    make: Callable[[], Any]
