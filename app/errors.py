"""The engine's exceptions. Each class stands for one way of handling a failure.

Invalid input can never succeed: it is rejected (HTTP 422) or dead-lettered at once. A transient failure is retried and never
dead-lettered. Any other exception is a bug: it is logged with its cause. An event that causes one is retried alone a few times,
then dead-lettered; the other events are processed normally.
"""


class EngineError(Exception):
    """Base class of the engine's exceptions."""


class InvalidInput(EngineError):
    """The input can never succeed. ``field`` is its dotted path (``data.total_questions``), ``reason`` the rule it breaks."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)  # unformatted, so that Celery can serialize and rebuild the error
        self.field = field
        self.reason = reason
        self.errors: tuple[InvalidInput, ...] = (self,)

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


class InvalidFields(InvalidInput):
    """One input has several errors. ``field`` and ``reason`` are those of the first; ``errors`` holds all of them."""

    def __init__(self, *errors: InvalidInput) -> None:
        super().__init__(errors[0].field, errors[0].reason)
        self.args = errors
        self.errors = errors

    def __str__(self) -> str:
        return "; ".join(map(str, self.errors))


class DependencyUnavailable(EngineError):
    """A dependency does not answer now; the same call may succeed later. The driver's error is the cause.

    The message is ``dependency`` followed by ``state``: "redis is unavailable", "bridge is joining its group".
    """

    def __init__(self, dependency: str, state: str = "is unavailable") -> None:
        super().__init__(dependency, state)
        self.dependency = dependency
        self.state = state

    def __str__(self) -> str:
        return f"{self.dependency} {self.state}"


class Degraded(EngineError):
    """Every dependency answers, but an operator must act; the message says why."""


class UnexpectedFailure(EngineError):
    """One event could not be recorded although every dependency is available. The log has the cause, if there is one."""


class NotFound(EngineError):
    """The requested object does not exist for this tenant."""


class AccessDenied(EngineError):
    """The caller may not do this; does not reveal whether the object exists."""


class ConsentWithdrawn(EngineError):
    """The student has not consented to this use of their data, or has withdrawn the consent. ``purpose`` is what for."""

    def __init__(self, purpose: str) -> None:
        super().__init__(purpose)
        self.purpose = purpose

    def __str__(self) -> str:
        return f"the student has not consented to {self.purpose.replace('_', ' ')}"


class SettingsError(EngineError):
    """A setting is missing or wrong; the message names the variable."""
