"""Replays dead letters: sends their source records to the events topic again.

The encrypted payload of a dead letter is the source's value, byte for byte, unless it was too large and is cut. A cut one is
read from the source record, and refused if Kafka no longer has it. A dead letter without a key, such as that of an erased
student, is counted and not replayed, also not from the source record.

In dead letters of earlier versions, which are not encrypted, a JSON object is complete, equal to the source's as a JSON value.
Other payloads may be cut or escaped, which cannot be detected. They are read from the source record too.

Dead letters are marked as replayed in batches, after their delivery is confirmed. When an interrupted run is started again, it
repeats at most its last batch. This is harmless: events are deduplicated.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer

from app.errors import DependencyUnavailable, EngineError
from app.events.dead_letter import REPLAYS, TRACE
from app.events.handled_letters import Place
from app.events.letter_keys import LetterKeys
from app.events.sealed_payload import Lock, Original, original
from consumers.dead_letters.open_letters import open_letters
from consumers.dead_letters.stored_letter import DeadLetterBody, StoredDeadLetter
from consumers.kafka.delivery import Content, paced_batches, produce
from consumers.kafka.record_reader import RecordReader


class ReplayOutcome(StrEnum):
    """The outcome for a dead letter."""

    REPLAYED = "replayed"
    HANDLED = "handled before"
    OVER_LIMIT = "over the limit"
    UNREADABLE = "unreadable"
    REFUSED = "refused"  # the reason goes to the `refused` callback
    UNDELIVERED = "not delivered"
    ERASED = "erased"


class Refused(EngineError):
    """This dead letter cannot be replayed; the message is the reason."""


class Outgoing(NamedTuple):
    """A dead letter with its source's key and value."""

    letter: StoredDeadLetter
    key: bytes | None
    value: bytes


class Sources:
    """Restores the source records of dead letters."""

    def __init__(self, reader: RecordReader, topic: str) -> None:
        self._reader = reader
        self._topic = topic

    def outgoing(self, letter: StoredDeadLetter, body: DeadLetterBody) -> Outgoing:
        """The dead letter with its source's key and value. Raises Refused when these cannot be restored exactly."""
        if isinstance(letter.opened, Original):
            return self._unsealed(letter, letter.opened)
        payload = bytes(body.original_payload).strip()
        if payload.startswith(b"{"):
            return Outgoing(letter, letter.key, payload)
        key, value = self._record(letter)
        if not _agree(value, body):
            raise Refused(f"its payload may be cut or altered, and the record at {letter.source} is another one now")
        return Outgoing(letter, key, value)

    def _unsealed(self, letter: StoredDeadLetter, found: Original) -> Outgoing:
        """What was encrypted; a cut value comes from the source. Raises Refused."""
        if found.value is None:
            raise Refused("its record has no value")
        if not found.is_cut:
            return Outgoing(letter, found.key, found.value)
        key, value = self._record(letter)
        if len(value) != found.size or not value.startswith(found.value):
            raise Refused(f"its payload is cut, and the record at {letter.source} is another one now")
        return Outgoing(letter, found.key if letter.sealed and letter.sealed.student else key, value)

    def _record(self, letter: StoredDeadLetter) -> tuple[bytes | None, bytes]:
        """Key and value of the source record. Raises Refused."""
        source = letter.source
        if source is None or source.topic != self._topic:
            raise Refused(f"its payload may be cut or altered, and no record of {self._topic} is named as its source")
        message = self._reader.record(*source)
        if message is None:
            raise Refused(f"its payload may be cut or altered, and the source record {source} is not kept any more")
        key, value = message.key(), message.value()
        if not isinstance(value, bytes):
            raise Refused(f"its payload may be cut or altered, and the record at {source} is another one now")
        return key if isinstance(key, bytes) else None, value


class Replay:
    """One replay run. ``counts`` has the number of dead letters by outcome.

    Args:
        topic: the events topic.
        producer: None for a dry run, which sends nothing and calls ``arrived`` with what would be sent.
        sources: restores the source records.
        keys: decrypt the dead letters.
        handled: places of the dead letters that were replayed or purged before.
        arrived: called with the delivered dead letters of each batch.
        refused: called with each dead letter that cannot be replayed, and the reason.
        max_replays: dead letters replayed this often are skipped.
        rate: maximum events per second; None for no limit.
        hold_back: called after each batch with how many dead letters were delivered, and their bytes; blocks until more may be
            sent.
    """

    def __init__(
        self,
        topic: str,
        *,
        producer: Producer | None,
        sources: Sources,
        keys: LetterKeys,
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
        self._keys = keys
        self._handled = handled
        self._arrived = arrived
        self._refused = refused
        self._max_replays = max_replays
        self._rate = rate if producer else None  # nothing to limit in a dry run
        self._hold_back = hold_back

    def run(self, letters: Iterable[StoredDeadLetter]) -> None:
        """Replay those that can be. Raises DependencyUnavailable when Kafka or Redis fails to take a batch."""
        outgoing = (found for letter in open_letters(letters, self._keys) if (found := self._outgoing(letter)))
        for batch in paced_batches(outgoing, lambda each: len(each.value), self._rate):
            self._deliver(batch)

    def _outgoing(self, letter: StoredDeadLetter) -> Outgoing | None:
        if letter.place in self._handled:
            self.counts[ReplayOutcome.HANDLED] += 1
        elif letter.body is None:
            self.counts[ReplayOutcome.UNREADABLE] += 1
        elif letter.replays >= self._max_replays:
            self.counts[ReplayOutcome.OVER_LIMIT] += 1
        elif letter.opened is Lock.ERASED:
            self.counts[ReplayOutcome.ERASED] += 1
        elif letter.opened is Lock.ALTERED:
            self._refuse(letter, "its encrypted payload was altered")
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
        errors = produce(self._producer, self._topic, map(_message, batch)) if self._producer else {}
        arrived = [each for index, each in enumerate(batch) if index not in errors]
        self._arrived([each.letter for each in arrived])
        self.counts[ReplayOutcome.REPLAYED] += len(arrived)
        for index, each in enumerate(batch):
            if index in errors and errors[index].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                self._refuse(each.letter, f"Kafka takes no record of {len(each.value):,} bytes")
                del errors[index]
        if errors:
            self.counts[ReplayOutcome.UNDELIVERED] += len(errors)
            error = next(iter(errors.values()))
            raise DependencyUnavailable("kafka", f"did not take every letter: {error.str()}") from KafkaException(error)
        if self._producer:
            self._hold_back(len(arrived), sum(len(each.value) for each in arrived))


def _message(outgoing: Outgoing) -> Content:
    headers: list[tuple[str, str | bytes | None]] = [(REPLAYS, str(outgoing.letter.replays + 1))]
    if outgoing.letter.traceparent:
        headers.append((TRACE, outgoing.letter.traceparent))
    return outgoing.key, outgoing.value, headers


def _agree(value: bytes, body: DeadLetterBody) -> bool:
    """Whether the value produces this dead letter's payload. It does not if the topic was recreated with other records."""
    payload = msgspec.json.encode(original(None, value).payload)
    return bool(msgspec.json.decode(payload) == msgspec.json.decode(body.original_payload))
