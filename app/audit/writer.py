"""Appends to trails from many threads and processes.

Threads of a process use group commit: the thread that holds the lock writes the entries of all waiting threads in one round
trip. Processes use optimistic concurrency: an append names the head that it follows, and is sealed again if another process was
faster. A process that lost several times in a row gets the next turn.

Each process remembers the heads of trails. If a trail now ends earlier or with another entry, it was set back; nothing in Redis
shows that, so the process logs it and records it in the operators' trail.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import redis

from app.audit.chain import Chain, DerivedKeys, Head, Sealed, parse_head
from app.audit.entry import OPERATORS, SYSTEM, AuditOutcome, Details, Entry, SystemAction
from app.errors import DependencyUnavailable
from app.storage.keys import Keys
from app.storage.redis_client import transient_error
from app.storage.scripts import load_script

# Sealing many entries takes longer than sealing a few, so a writer with many could lose forever. After PATIENCE lost attempts
# it requests the turn, for as long as another attempt takes on a busy machine; other writers wait meanwhile. Without turns it
# would wait for seconds or give up, also with random pauses, slices or a lock among losers (measured: decision 11).
PATIENCE = 5
TURN_MILLISECONDS = 100
PAUSE_SECONDS = 0.001
ATTEMPTS = 1000  # about one second, enough turns for a dozen processes
MAX_HEADS = 10_000  # remembered heads, 2 MB; other heads are read from Redis

_log = logging.getLogger(__name__)


class _Order:
    """The entries of one caller for a trail, and their result."""

    def __init__(self, trail: str, entries: Sequence[Entry]) -> None:
        self.trail = trail
        self.entries = entries
        self.stored = False
        self.error: Exception | None = None


class TrailWriter:
    """The only writer of entries in a process. Thread-safe; must not be shared across a fork."""

    def __init__(self, client: redis.Redis, key_prefix: str, keys: DerivedKeys) -> None:
        self._redis = client
        self._names = Keys(key_prefix)
        self._keys = keys
        self._append = load_script(client, Path(__file__).with_name("append_entries.lua"))
        self._name_trails = load_script(client, Path(__file__).with_name("name_trails.lua"))
        self._name = uuid4().hex
        self._waiting: deque[_Order] = deque()
        self._writing = Lock()
        self._heads: dict[str, Head] = {}
        self._alarms: list[_Order] = []  # written with the next attempt

    def append(self, trail: str, entries: Sequence[Entry]) -> None:
        """Append entries to a trail; returns when all of them are stored.

        Raises:
            DependencyUnavailable: It is not certain that they are stored. They may be, even twice if a reply was lost.
        """
        order = _Order(trail, entries)
        self._waiting.append(order)
        with self._writing:
            if not order.stored and order.error is None:
                self._write(self._take())
        if not order.stored:
            raise DependencyUnavailable("audit trail", "cannot be written") from order.error

    def _take(self) -> list[_Order]:
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._waiting.popleft())
        return taken

    def _write(self, orders: Iterable[_Order]) -> None:
        """Write the orders; failures are stored in the orders."""
        by_trail: dict[str, list[_Order]] = {}
        for order in orders:
            by_trail.setdefault(order.trail, []).append(order)
        try:
            for attempt in range(ATTEMPTS):
                by_trail = self._attempt(by_trail, is_losing=attempt >= PATIENCE)
                if not by_trail:
                    return
                if attempt >= PATIENCE:
                    time.sleep(PAUSE_SECONDS)
            error: Exception = DependencyUnavailable("audit trail", f"changed {ATTEMPTS} times meanwhile")
        except (DependencyUnavailable, redis.RedisError) as raised:
            error = raised
        for some in by_trail.values():
            _fail(some, error)

    def _attempt(self, by_trail: dict[str, list[_Order]], *, is_losing: bool) -> dict[str, list[_Order]]:
        """Append in one round trip, with a script call per trail; one more round trip names new trails.

        Returns:
            The orders to be retried, because their trail has another head, and new alarms for trails that were set back.
        """
        sealed = {trail: self._sealed(trail, some) for trail, some in by_trail.items()}
        unknown = [trail for trail in by_trail if trail not in self._heads]
        pipeline = self._redis.pipeline(transaction=False)
        for trail, entries in sealed.items():
            turn = [self._name, TURN_MILLISECONDS if is_losing else 0]
            keys = [self._names.audit(trail), self._names.audit_head(trail), self._names.audit_turn(trail)]
            pipeline.evalsha(self._append.sha, len(keys), *keys, *_arguments(entries, turn))
        replies = pipeline.execute(raise_on_error=False)
        if unknown:  # after the entries, so that every named trail exists
            self._name_trails([self._names.audited()], unknown)
        if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):  # the server was restarted
            self._redis.script_load(self._append.script)
        left = {
            trail: some
            for (trail, some), reply in zip(by_trail.items(), replies, strict=True)
            if not self._settle(some, sealed[trail], reply)
        }
        if self._alarms:
            left[OPERATORS] = left.get(OPERATORS, []) + self._alarms
            self._alarms = []
        return left

    def _settle(self, orders: list[_Order], sealed: Sequence[Sealed], reply: Any) -> bool:
        """Store the result in the orders of a trail. False if they must be retried."""
        if isinstance(reply, redis.exceptions.NoScriptError):
            return False
        if isinstance(reply, redis.RedisError):
            _fail(orders, transient_error(reply) or reply)
            return True
        head = parse_head(*reply) if reply else sealed[-1].head
        if head is None:
            _fail(orders, DependencyUnavailable("audit trail", "has a damaged head"))
            return True
        if reply:
            self._look_for_set_back(orders[0], head)
        self._remember(orders[0].trail, head)
        for order in orders:
            order.stored = not reply
        return not reply

    def _look_for_set_back(self, order: _Order, head: Head) -> None:
        """Raise an alarm if the trail had a later head before, or another entry of this sequence."""
        known, trail = self._heads.get(order.trail, Head()), order.trail
        if head.sequence > known.sequence or head == known:
            return
        _log.error(
            "the audit trail %s was set back from entry %d to %d, by somebody or by a crash of Redis: "
            "`mastery audit verify --tenant %s --expect %s`",
            *(trail, known.sequence, head.sequence, trail, known),
        )
        noticed = order.entries[0]
        details: Details = {"trail": trail, "was": str(known), "is": str(head)}
        alarm = Entry(
            at=noticed.at,
            channel=noticed.channel,
            role=SYSTEM,
            who="writer",
            action=SystemAction.NOTICE_SET_BACK,
            details=details,
            outcome=AuditOutcome.DONE,
        )
        self._alarms.append(_Order(OPERATORS, [alarm]))

    def _remember(self, trail: str, head: Head) -> None:
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        if head.sequence:
            self._heads[trail] = head
        else:
            self._heads.pop(trail, None)  # the trail was deleted and starts again

    def _sealed(self, trail: str, orders: Iterable[_Order]) -> list[Sealed]:
        entries = (entry for order in orders for entry in order.entries)
        return Chain(self._keys, trail).seal(self._heads.get(trail, Head()), *entries)


def _arguments(sealed: Sequence[Sealed], turn: Sequence[Any]) -> list[Any]:
    before, last = sealed[0], sealed[-1]
    pairs = [part for each in sealed for part in (each.text, each.mac)]
    return [before.entry.sequence - 1, before.previous, last.entry.sequence, *turn, *pairs]


def _fail(orders: Iterable[_Order], error: Exception) -> None:
    for order in orders:
        order.error = error
