"""What a failure means decides where it goes; each class here is one meaning.

An invalid input can never succeed: it is refused (HTTP 422) or dead-lettered at once. A transient failure succeeds later:
it is retried, and never dead-lettered. Anything else is unexpected, a bug: it is logged with its cause, and an event that meets
one is tried some times more by itself, then dead-lettered, while the others go on.
"""


class EngineError(Exception):
    """Base of the failures that the engine names."""


class InvalidInput(EngineError):
    """The input can never succeed. ``field`` is its dotted path (``data.total_questions``), ``reason`` what it must be."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)  # as they are, so that the error survives a journey through Celery
        self.field = field
        self.reason = reason
        self.errors: tuple[InvalidInput, ...] = (self,)

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


class InvalidFields(InvalidInput):
    """Several things are wrong with one input. ``field`` and ``reason`` are those of the first; ``errors`` are all of them."""

    def __init__(self, *errors: InvalidInput) -> None:
        super().__init__(errors[0].field, errors[0].reason)
        self.args = errors
        self.errors = errors

    def __str__(self) -> str:
        return "; ".join(map(str, self.errors))


class DependencyUnavailable(EngineError):
    """A dependency does not answer now; the same call may succeed later. The driver's error is the cause.

    The message is ``dependency`` and ``state``: "redis is unavailable", "bridge is joining its group".
    """

    def __init__(self, dependency: str, state: str = "is unavailable") -> None:
        super().__init__(dependency, state)
        self.dependency = dependency
        self.state = state

    def __str__(self) -> str:
        return f"{self.dependency} {self.state}"


class Degraded(EngineError):
    """Everything answers, and yet something is amiss that an operator has to see to; the message says what."""


class UnexpectedFailure(EngineError):
    """One event could not be recorded, and not because a dependency is away. The cause, if there is one, is in the log."""


class NotFound(EngineError):
    """What was asked for does not exist, or not for this tenant."""


class AccessDenied(EngineError):
    """The caller may not do this; says nothing about whether the thing exists."""


class SettingsError(EngineError):
    """A setting is missing or wrong; the message names the variable."""
