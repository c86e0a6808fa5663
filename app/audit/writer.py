"""Appends to trails, for many threads and processes at once.

Among the threads of a process whoever has the lock writes what all of them want to say, in one round trip; the others find
theirs written when they get it. (Databases call that group commit.) Among processes the first wins: an append names the end
that it follows, and is sealed anew when another process was faster. Whoever was slower some times in a row has the next turn.

Each process remembers where trails end. One that ends earlier, or with another entry, was set back, for which nothing in Redis
is evidence: the process says so in its log and in the operators' trail.
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

# A writer with many entries takes longer to seal them than one with a few, and would lose against it for ever. Attempts that
# lost ask for the turn, for as long as a busy machine takes to make another; the others wait meanwhile.
PATIENCE = 5
TURN_MILLISECONDS = 100
PAUSE_SECONDS = 0.001
ATTEMPTS = 1000  # a second: some dozen processes have had their turn by then
MAX_HEADS = 10_000  # trails whose end is remembered: 2 MB; of others it is asked for

_log = logging.getLogger(__name__)


class _Order:
    """Entries that one caller wants in a trail, and what became of them."""

    def __init__(self, trail: str, entries: Sequence[Entry]) -> None:
        self.trail = trail
        self.entries = entries
        self.stored = False
        self.error: Exception | None = None


class TrailWriter:
    """The one writer of entries. Thread-safe; not to be shared across a fork."""

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
        self._alarms: list[_Order] = []  # to be written with the next attempt

    def append(self, trail: str, entries: Sequence[Entry]) -> None:
        """Store entries at the end of a trail, one after the other; returns when all of them are stored.

        Raises DependencyUnavailable when that cannot be said. They may be stored all the same, even twice if a reply was lost.
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
        """Write what was ordered; whatever goes wrong is in the orders afterwards."""
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
        """One round trip, a script call for each trail; one more where a trail is met first.

        Returns the orders of those that end elsewhere than was believed.

        There is an alarm among them for each that was set back.
        """
        sealed = {trail: self._sealed(trail, some) for trail, some in by_trail.items()}
        unknown = [trail for trail in by_trail if trail not in self._heads]
        pipeline = self._redis.pipeline(transaction=False)
        for trail, entries in sealed.items():
            turn = [self._name, TURN_MILLISECONDS if is_losing else 0]
            keys = [self._names.audit(trail), self._names.audit_head(trail), self._names.audit_turn(trail)]
            pipeline.evalsha(self._append.sha, len(keys), *keys, *_arguments(entries, turn))
        replies = pipeline.execute(raise_on_error=False)
        if unknown:  # after its entries, so that no trail is named that is not there
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
        """Note what became of the orders of a trail. False if another attempt may succeed."""
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
        """Sound an alarm if the trail ended with a later entry before, or with another one of this number."""
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
            self._heads.pop(trail, None)  # it is not there any more, and begins anew

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
