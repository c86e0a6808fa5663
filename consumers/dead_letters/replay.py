"""Dead letters back to the events topic, as what their source sent.

A payload that is a JSON object is in its letter, as a JSON value equal to the source's, and goes from there. Of anything else a
letter may have kept only an excerpt, or bytes written out as text, which cannot be told from text that looks like them: that
is read from the source record, which the letter names, and refused when that record is not there any more.

A letter is marked as replayed after its delivery was confirmed, a batch at a time. A run that is interrupted repeats at most
its last batch when it is started again, which is harmless: an event counts once, however often it comes.
"""

import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.errors import DependencyUnavailable, EngineError, InvalidInput
from app.events.dead_letter import REPLAYS, TRACE, invalid_event
from app.events.handled_letters import Place
from consumers.dead_letters.record import DeadLetterBody, StoredDeadLetter
from consumers.kafka.clients import FLUSH_SECONDS
from consumers.kafka.record_reader import RecordReader

BATCH = 500  # letters between two confirmations: what an interrupted run may repeat
BATCHES_A_SECOND = 10  # with a rate, so that progress shows, and is remembered, as it is made
INTERRUPT_SECONDS = 0.5  # the longest that Ctrl-C waits for the producer


class ReplayOutcome(StrEnum):
    """What became of a letter in a run."""

    REPLAYED = "replayed"
    HANDLED = "handled before"
    OVER_LIMIT = "over the limit"
    UNREADABLE = "unreadable"
    REFUSED = "refused"  # for the reason that was told
    UNDELIVERED = "not delivered"


class Refused(EngineError):
    """This letter cannot be replayed, for the reason that is the message; others can."""


class Outgoing(NamedTuple):
    """A letter and what its source sent."""

    letter: StoredDeadLetter
    key: bytes | None
    value: bytes


class Sources:
    """What the sources of letters sent."""

    def __init__(self, reader: RecordReader, topic: str) -> None:
        self._reader = reader
        self._topic = topic

    def outgoing(self, letter: StoredDeadLetter, body: DeadLetterBody) -> Outgoing:
        """A letter with the key and value of its source. Raises Refused when they are not to be had exactly."""
        payload = bytes(body.original_payload).strip()
        if payload.startswith(b"{"):
            return Outgoing(letter, letter.key, payload)
        source = letter.source
        if source is None or source.topic != self._topic:
            raise Refused(f"its payload may be cut or altered, and no record of {self._topic} is named as its source")
        message = self._reader.record(*source)
        if message is None:
            raise Refused(f"its payload may be cut or altered, and the source record {source} is not kept any more")
        key, value = message.key(), message.value()
        if not isinstance(value, bytes) or not _agree(value, body):
            raise Refused(f"its payload may be cut or altered, and the record at {source} is another one now")
        return Outgoing(letter, key if isinstance(key, bytes) else None, value)


class Replay:
    """One run. ``counts`` says what became of the letters so far.

    ``arrived`` is told which letters were delivered, ``refused`` which cannot be replayed and why; ``hold_back`` is called
    after each batch with its number of letters and bytes, and returns when more may be sent. Without a producer nothing is
    sent, and ``arrived`` is told which letters would be.
    """

    def __init__(
        self,
        topic: str,
        *,
        producer: Producer | None,
        sources: Sources,
        handled: Container[Place],
        arrived: Callable[[Sequence[StoredDeadLetter]], None],
        refused: Callable[[StoredDeadLetter, str], None],
        max_replays: int,
        rate: int | None = None,
        hold_back: Callable[[int, int], None] = lambda _letters, _size: None,
    ) -> None:
        self.counts: Counter[ReplayOutcome] = Counter()
        self._topic = topic
        self._producer = producer
        self._sources = sources
        self._handled = handled
        self._arrived = arrived
        self._refused = refused
        self._max_replays = max_replays
        self._rate = rate
        self._batch = min(BATCH, max(1, rate // BATCHES_A_SECOND)) if rate else BATCH
        self._hold_back = hold_back
        self._began = time.monotonic()
        self._sent = 0

    def run(self, letters: Iterable[StoredDeadLetter]) -> None:
        """Replay those that can be. Raises DependencyUnavailable when Kafka or Redis does not take the next batch."""
        batch: list[Outgoing] = []
        for letter in letters:
            if outgoing := self._judge(letter):
                batch.append(outgoing)
            if len(batch) >= self._batch:
                self._deliver(batch)
                batch = []
        self._deliver(batch)

    def _judge(self, letter: StoredDeadLetter) -> Outgoing | None:
        if letter.place in self._handled:
            self.counts[ReplayOutcome.HANDLED] += 1
        elif letter.body is None:
            self.counts[ReplayOutcome.UNREADABLE] += 1
        elif letter.replays >= self._max_replays:
            self.counts[ReplayOutcome.OVER_LIMIT] += 1
        else:
            try:
                return self._sources.outgoing(letter, letter.body)
            except Refused as error:
                self._refuse(letter, str(error))
        return None

    def _refuse(self, letter: StoredDeadLetter, reason: str) -> None:
        self.counts[ReplayOutcome.REFUSED] += 1
        self._refused(letter, reason)

    def _deliver(self, batch: Sequence[Outgoing]) -> None:
        errors = self._produce(self._producer, batch) if self._producer else {}
        arrived = [each.letter for each in batch if each.letter.place not in errors]
        self._arrived(arrived)
        self.counts[ReplayOutcome.REPLAYED] += len(arrived)
        for each in batch:
            if (error := errors.get(each.letter.place)) and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                self._refuse(each.letter, f"Kafka takes no record of {len(each.value):,} bytes")
                del errors[each.letter.place]
        if errors:
            self.counts[ReplayOutcome.UNDELIVERED] += len(errors)
            error = next(iter(errors.values()))
            raise DependencyUnavailable("kafka", f"did not take every letter: {error.str()}") from KafkaException(error)
        self._hold_back(len(arrived), sum(len(each.value) for each in batch))

    def _produce(self, producer: Producer, batch: Sequence[Outgoing]) -> dict[Place, KafkaError]:
        """Send letters and wait for the reports. Returns what is wrong with those that did not arrive."""
        errors = {each.letter.place: KafkaError(KafkaError._MSG_TIMED_OUT) for each in batch}  # until a report says otherwise

        def report(place: Place, error: KafkaError | None, _message: Message) -> None:
            if error is None:
                del errors[place]
            else:
                errors[place] = error

        for each in batch:
            self._keep_to_the_rate()
            place, headers = each.letter.place, _headers(each.letter)
            try:
                producer.produce(
                    self._topic, value=each.value, key=each.key, headers=headers, on_delivery=partial(report, place)
                )
            except KafkaException as error:
                errors[place] = error.args[0]
            producer.poll(0)
        deadline = time.monotonic() + FLUSH_SECONDS
        while producer.flush(INTERRUPT_SECONDS) and time.monotonic() < deadline:
            pass
        return errors

    def _keep_to_the_rate(self) -> None:
        if self._rate:
            time.sleep(max(0.0, self._began + self._sent / self._rate - time.monotonic()))
        self._sent += 1


def _headers(letter: StoredDeadLetter) -> list[tuple[str, str | bytes | None]]:
    headers: list[tuple[str, str | bytes | None]] = [(REPLAYS, str(letter.replays + 1))]
    if letter.traceparent:
        headers.append((TRACE, letter.traceparent))
    return headers


def _agree(value: bytes, body: DeadLetterBody) -> bool:
    """Whether a letter of this value would have this payload. It would not where a topic was made anew with other records."""
    payload = invalid_event(value, InvalidInput("", ""), body.failed_at).original_payload
    return bool(payload == msgspec.json.decode(body.original_payload))
