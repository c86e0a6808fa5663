"""The relay: what waits in Redis to be told goes to Kafka, dead letters to ``mastery.dlq`` and changes to ``mastery.results``.

One bridge of all relays at a time; the others stand by. What was sent is struck off when it has arrived. So changes are told at
least once, in order within a student; and dead letters once, since the relay looks up which of them arrived before.
"""

import logging
from collections.abc import Callable
from threading import Event as Flag

from confluent_kafka import Producer

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.dead_letter import LETTER_ID
from app.mastery.result_messages import encode_update, updates
from app.storage.lease import Lease
from consumers.dead_letters.producer import DeadLetterQueue
from consumers.kafka.clients import Content, deliver
from consumers.metrics import DELIVERED

# Kafka has this long to take a message, then it is sent again in another round. The lease is longer: what its previous holder
# sent has arrived, or never will, when another takes over.
DELIVERY_SECONDS = 5.0
LEASE_SECONDS = 8.0
PAUSE_SECONDS = 0.1  # between looks when nothing waits; while a dependency is away each is twice as long as the one before
LONGEST_PAUSE_SECONDS = 2.0
LETTERS = 500  # in one round
ENTRIES = 400  # of one tenant in one round: up to 20,000 changes, some 5 MB

_log = logging.getLogger(__name__)


class Relay:
    """Relays until it is stopped. Not thread-safe, but for ``stop``."""

    def __init__(self, engine: Engine, producer: Producer) -> None:
        settings = engine.settings
        self._engine = engine
        self._producer = producer
        self._dead_letters = DeadLetterQueue(producer, settings)
        self._topic = settings.results_topic
        self._lease = Lease(engine.redis, f"{settings.key_prefix}:{{.events}}:relay", LEASE_SECONDS)
        self._stopped = Flag()
        self._failed = False
        self._pause = PAUSE_SECONDS

    def run(self) -> None:
        """Relay until ``stop`` is called."""
        while not self._stopped.is_set():
            if not self.step():
                self._stopped.wait(self._pause)
        try:
            self._lease.release()
        except DependencyUnavailable as error:
            _log.info("%s; the relay's lease runs out by itself", error)
        self._dead_letters.close()

    def stop(self) -> None:
        """Finish the round in hand, then stop."""
        self._stopped.set()

    def step(self) -> bool:
        """Relay some of what waits. Returns whether there was any that went."""
        self._failed = False
        went = any([self._try(self._send_letters), self._try(self._tell_changes)])  # one's trouble is not the other's
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS) if self._failed else PAUSE_SECONDS
        return went

    def _try(self, half: Callable[[], int]) -> bool:
        who = f"relay: {half.__name__}"
        try:
            went = self._lease.hold(DELIVERY_SECONDS) and half() > 0
        except DependencyUnavailable as error:
            self._engine.outages.gone(error, who)
            self._failed = True
            return False
        self._engine.outages.back(who)
        return went

    def _send_letters(self) -> int:
        ledger = self._engine.ledger
        waiting = ledger.waiting_letters(LETTERS)
        if not waiting:
            return 0
        log = self._dead_letters.log()
        arrived = self._dead_letters.arrived(ledger.letters_end(log), lambda: self._lease.prolong(DELIVERY_SECONDS))
        if arrived is None:
            return 0  # another has taken over while this one looked
        ends = self._dead_letters.send([each for each in waiting if dict(each.letter.headers)[LETTER_ID] not in arrived])
        ledger.letters_delivered(waiting[-1].entry_id, log, ends)
        DELIVERED.labels("dlq").inc(len(waiting))
        return len(waiting)

    def _tell_changes(self) -> int:
        outbox = self._engine.outbox
        noted = outbox.read(list(outbox.entries(self._engine.mastery.tenants.all())), ENTRIES)
        messages: list[Content] = [
            (f"{tenant}/{change.student_id}".encode(), encode_update(update), [])
            for tenant, entries in noted.items()
            for entry in entries
            for change in entry.changes
            for update in updates(tenant, change, entry.at)
        ]
        deliver(self._producer, self._topic, messages)
        for tenant, entries in noted.items():
            outbox.acknowledge(tenant, entries[-1].entry_id)
        DELIVERED.labels("results").inc(len(messages))
        return len(messages)
