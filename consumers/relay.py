"""The relay: sends what waits in Redis to Kafka, dead letters to ``mastery.dlq``, changes and erasures to ``mastery.results``.

Erasures go to ``mastery.erasures`` too, which keeps them longer.

A lease in Redis allows one relay at a time; those of the other bridges stand by. Entries are removed from Redis after their
delivery. So changes are delivered at least once, in order per student. Dead letters are delivered exactly once, because the
relay first looks up which of them the topic already has.
"""

import logging
from collections.abc import Callable, Iterator
from threading import Event as Flag

from confluent_kafka import Producer

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.dead_letter import LETTER_ID
from app.events.event_log import record_key
from app.mastery.outbox_entry import OutboxEntry
from app.mastery.result_messages import encode_message, erased_message, updates
from app.privacy.erasure_record import encode_record
from app.pseudonyms import WHOLE_TENANT
from app.storage.keys import Keys
from app.storage.lease import Lease
from consumers.dead_letters.producer import DeadLetterQueue
from consumers.kafka.delivery import Content, deliver
from consumers.metrics import DELIVERED

# Delivery timeout; a message that times out is sent again in the next round. The lease is longer, so that every message of the
# previous holder has been delivered or has timed out when another relay takes over.
DELIVERY_SECONDS = 5.0
LEASE_SECONDS = 8.0
PAUSE_SECONDS = 0.1  # between polls when nothing waits; doubled at each failure while a dependency is unavailable
LONGEST_PAUSE_SECONDS = 2.0
LETTERS = 500  # per round
ENTRIES = 400  # per tenant and round: up to 20,000 changes, about 5 MB

_log = logging.getLogger(__name__)


class Relay:
    """Relays until it is stopped. Not thread-safe, except ``stop``."""

    def __init__(self, engine: Engine, producer: Producer) -> None:
        settings = engine.settings
        self._engine = engine
        self._producer = producer
        self._dead_letters = DeadLetterQueue(producer, settings)
        self._topic = settings.results_topic
        self._erasures_topic = settings.erasures_topic
        self._lease = Lease(engine.redis, Keys(settings.key_prefix).relay(), LEASE_SECONDS)
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
            _log.info("%s; the relay's lease will expire", error)
        self._dead_letters.close()

    def stop(self) -> None:
        """Finish the current round, then stop."""
        self._stopped.set()

    def step(self) -> bool:
        """Relay one batch of dead letters and of changes. Returns whether anything was sent."""
        self._failed = False
        sent = any([self._try(self._send_letters), self._try(self._send_changes)])  # a list: one must not block the other
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS) if self._failed else PAUSE_SECONDS
        return sent

    def _try(self, send: Callable[[], int]) -> bool:
        who = f"relay: {send.__name__}"
        try:
            has_sent = self._lease.hold(DELIVERY_SECONDS) and send() > 0
        except DependencyUnavailable as error:
            self._engine.outages.gone(error, who)
            self._failed = True
            return False
        self._engine.outages.back(who)
        return has_sent

    def _send_letters(self) -> int:
        ledger = self._engine.ledger
        waiting = ledger.waiting_letters(LETTERS)
        if not waiting:
            return 0
        log = self._dead_letters.log()
        arrived = self._dead_letters.arrived(ledger.letters_end(log), lambda: self._lease.prolong(DELIVERY_SECONDS))
        if arrived is None:
            return 0  # the lease was lost meanwhile
        ends = self._dead_letters.send([each for each in waiting if dict(each.letter.headers)[LETTER_ID] not in arrived])
        ledger.letters_delivered(waiting[-1].entry_id, log, ends)
        DELIVERED.labels("dlq").inc(len(waiting))
        return len(waiting)

    def _send_changes(self) -> int:
        outbox = self._engine.outbox
        waiting = outbox.read(list(outbox.entries(self._engine.mastery.tenants.all())), ENTRIES)
        entries_of = [(tenant, entry) for tenant, entries in waiting.items() for entry in entries]
        deliver(self._producer, self._erasures_topic, [each for some in entries_of for each in self._records(*some)])
        messages = [each for some in entries_of for each in self._messages(*some)]
        deliver(self._producer, self._topic, messages)
        for tenant, entries in waiting.items():
            outbox.acknowledge(tenant, entries[-1].entry_id)
        DELIVERED.labels("results").inc(len(messages))
        return len(messages)

    def _messages(self, tenant: str, entry: OutboxEntry) -> Iterator[Content]:
        """The messages of an entry. Keys have pseudonyms, since Kafka's tools and logs show keys."""
        pseudonym = self._engine.audit.pseudonym
        for change in entry.changes:
            key = record_key(tenant, pseudonym(tenant, change.student_id))
            for update in updates(tenant, change, entry.at):
                yield key, encode_message(update), []
        for erasure in entry.erasures:
            if erasure.student_id:
                key = record_key(tenant, pseudonym(tenant, erasure.student_id))
                yield key, encode_message(erased_message(tenant, erasure)), []

    def _records(self, tenant: str, entry: OutboxEntry) -> Iterator[Content]:
        """The records of the erasures in an entry, from which a bridge restores what Redis loses."""
        for erasure in entry.erasures:
            student = erasure.student_id
            pseudonym = self._engine.audit.pseudonym(tenant, student) if student else WHOLE_TENANT
            yield record_key(tenant, pseudonym), encode_record(tenant, pseudonym, erasure.until), []
