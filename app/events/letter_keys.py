"""The keys that encrypt dead letters: one per student, and one per day for records in which no student can be read.

A record in Kafka cannot be deleted. Without its key nobody can read it, so erasing a student's key erases the student's dead
letters. No process may keep a key longer than for the dead letters of one call.
"""

import glob
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import redis

from app.clock import microseconds
from app.events.sealed_payload import KeyName, StudentKeyName, new_key
from app.pseudonyms import Pseudonymize
from app.storage.erased import Erased
from app.storage.keys import Keys
from app.storage.scripts import load_script, run_script, slices

KEYS_PER_CALL = 100  # keys per script call or command: well below a millisecond of Redis
SCAN_COUNT = 1000  # keys scanned per command: half a millisecond of Redis
KEYS_PER_READ = 500  # keys read in one round trip
DAY_SECONDS = 86_400


class StudentEvent(NamedTuple):
    """A failed event: its student, and its moment in UTC; None if the event has no valid timestamp."""

    tenant: str
    student_id: str
    moment: datetime | None


Owner: TypeAlias = StudentEvent | date  # the day is that of the failure


class IssuedKey(NamedTuple):
    """A key for one dead letter."""

    name: KeyName
    key: bytes


class LetterKeys:
    """The keys of dead letters. Raises DependencyUnavailable when Redis does not answer.

    Args:
        client: The state's Redis.
        key_prefix: The prefix of all keys.
        retention_days: For how many days a key is kept after its last use.
        pseudonyms: Gives a student's pseudonyms.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, retention_days: int, pseudonyms: Pseudonymize) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._kept_seconds = retention_days * DAY_SECONDS
        self._pseudonyms = pseudonyms
        self._issue = load_script(client, Path(__file__).with_name("letter_keys.lua"))

    def issue(self, owners: Sequence[Owner]) -> list[IssuedKey]:
        """The keys to encrypt dead letters with, in one round trip. Missing ones are created.

        An event that is not later than the erasure of its student gets a key that is not stored, so that nobody can read its
        dead letter. So does an event of an erased student without a valid timestamp, which may be an earlier one.

        Returns:
            The keys, in the order of the owners.
        """
        places: dict[str | None, list[int]] = {}  # by tenant
        for index, owner in enumerate(owners):
            places.setdefault(owner.tenant if isinstance(owner, StudentEvent) else None, []).append(index)
        names = [self._name(owner) for owner in owners]
        groups = [(tenant, some) for tenant, indices in places.items() for some in slices(indices, KEYS_PER_CALL)]
        calls = [self._call(tenant, [owners[i] for i in some], [names[i] for i in some]) for tenant, some in groups]
        keys: dict[int, bytes] = {}
        for (_, some), reply in zip(groups, run_script(self._redis, self._issue, calls), strict=True):
            keys |= zip(some, reply, strict=True)
        return [IssuedKey(name, keys[index] or new_key()) for index, name in enumerate(names)]

    def find(self, names: Iterable[KeyName | None]) -> list[bytes | None]:
        """The stored keys by name; None for a key that is not there. One round trip for each ``KEYS_PER_READ``."""
        keys: list[bytes | None] = []
        for some in slices(names, KEYS_PER_READ):
            pipeline = self._redis.pipeline(transaction=False)
            for name in some:
                if name is not None:
                    pipeline.get(self._key(name))
            found = iter(pipeline.execute())
            keys += [None if name is None else next(found) for name in some]
        return keys

    def erase(self, tenant: str, students: Sequence[str]) -> Erased:
        """Delete the keys of students, so that nobody can read their dead letters. Counts the keys.

        It is done at once: a dead letter that is encrypted now, with a key that another process has got, cannot be read. The
        erasure of the facts comes first; it keeps earlier events of these students from getting a new key.

        Returns:
            The number of deleted keys.
        """
        return Erased(self.forget(tenant, [each for student_id in students for each in self._pseudonyms(tenant, student_id)]))

    def forget(self, tenant: str, pseudonyms: Iterable[str]) -> int:
        """Delete the keys of students who are known by their pseudonyms. Returns the number of deleted keys."""
        keys = (self._keys.letter_key(tenant, each) for each in pseudonyms)
        return sum(self._redis.unlink(*some) for some in slices(keys, KEYS_PER_CALL))

    def drop(self, tenant: str) -> int:
        """Delete the keys of all students of a tenant, also of those that are not known. Scans the keys of all tenants.

        Returns:
            The number of deleted keys.
        """
        pattern = glob.escape(self._keys.letter_key(tenant, "")) + "*"
        return sum(
            self._redis.unlink(*some) for some in slices(self._redis.scan_iter(pattern, count=SCAN_COUNT), KEYS_PER_CALL)
        )

    def record_id(self, place: str) -> str:
        """A keyed hash of a record's place and value, 24 hexadecimal digits. Without a key, short values could be guessed."""
        return self._pseudonyms("", place)[0]  # no tenant has this name

    def _name(self, owner: Owner) -> KeyName:
        if isinstance(owner, StudentEvent):
            return StudentKeyName(owner.tenant, self._pseudonyms(owner.tenant, owner.student_id)[0])
        return owner

    def _key(self, name: KeyName) -> str:
        if isinstance(name, StudentKeyName):
            return self._keys.letter_key(*name)
        return self._keys.letter_key_of_day(name.isoformat())

    def _call(self, tenant: str | None, owners: Sequence[Owner], names: Sequence[KeyName]) -> tuple[list[str], list[Any]]:
        """Keys and arguments of a script call. ``tenant`` is None for days."""
        keys = [self._key(name) for name in names] + ([] if tenant is None else [self._keys.erased(tenant)])
        return keys, [self._kept_seconds, *chain.from_iterable(map(self._arguments, owners))]

    def _arguments(self, owner: Owner) -> tuple[str, int, bytes]:
        if not isinstance(owner, StudentEvent):
            return "", -1, new_key()
        pseudonyms = " ".join(self._pseudonyms(owner.tenant, owner.student_id))
        return pseudonyms, -1 if owner.moment is None else microseconds(owner.moment), new_key()
