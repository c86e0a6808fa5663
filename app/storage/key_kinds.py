"""The kinds of keys: what ``keys.py`` says about each of them."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

Make = TypeVar("Make", bound=Callable[..., str])


class KeyKind(NamedTuple):
    """A kind of key: the Redis type of its values, their content, and whether that is personal data.

    Data about a student or a caller is personal, even if a hash replaces the name.
    """

    type: str
    holds: str
    is_personal: bool


CATALOGUE: dict[str, KeyKind] = {}  # by the name of the method that builds the key


# Placeholders of the variable parts in patterns, by parameter name.
PLACEHOLDERS = {
    "tenant": "t",
    "trail": "t",
    "batch_id": "<batch>",
    "caller": "<area>:<caller>",
    "chunk_id": "<id>",
    "cohort_id": "<cohort>",
    "day": "<day>",
    "key_hash": "<hash>",
    "log": "<cluster>/<topic>/<id>",
    "minute": "<number>",
    "name": "<name>",
    "metric": "<metric>",
    "owner": "<caller>",
    "place": "<cohort>",
    "pseudonym": "<pseudonym>",
    "source": "<cluster>/<group>/<topic>",
    "student_id": "<id>",
    "subject": "<pseudonym>",
    "task_id": "<id>",
    "token_hash": "<hash>",
    "version": "<version>",
}


def kind(type_: str, holds: str, *, personal: bool = False) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        CATALOGUE[make.__name__] = KeyKind(type_, holds, personal)
        return make

    return register
