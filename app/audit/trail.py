"""Audit trails in Redis: a stream per tenant, its head (the last entry), and its anchor (the last trimmed entry)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import redis

from app.audit.chain import Anchor, Chain, Head, derive_keys, parse_head
from app.audit.entry import Entry
from app.audit.signed_actor import ActorSigner
from app.audit.writer import TrailWriter
from app.pseudonyms import Pseudonyms
from app.storage.keys import Keys
from app.storage.redis_client import next_id, raise_if_transient
from app.storage.scripts import load_script

SCAN_COUNT = 1000  # keys scanned per command: half a millisecond of Redis
PAGE = 500  # records read per command: a millisecond of Redis, 200 KB

Fields: TypeAlias = Mapping[bytes, bytes]
StreamEntry: TypeAlias = tuple[str, Fields]


class Ends(NamedTuple):
    """A snapshot of a trail's ends; None for values that the engine did not write.

    ``anchor`` is the last trimmed entry, ``head`` the last written one, ``last_id`` the id of the stream's last record ("" if
    it is empty).
    """

    anchor: Anchor | None
    head: Head | None
    last_id: str


class AuditTrail:
    """The trails of all tenants and of the operators. Raises DependencyUnavailable when Redis does not answer.

    Only ``append`` and ``trim`` change a trail.
    """

    def __init__(self, client: redis.Redis, key_prefix: str, secret: str, previous: str = "") -> None:
        self._redis = client
        self._names = Keys(key_prefix)
        self._keys = derive_keys(secret)
        self._previous = derive_keys(previous) if previous else None
        all_keys = [each for each in (self._keys, self._previous) if each is not None]
        self._writer = TrailWriter(client, key_prefix, self._keys)
        self._trim = load_script(client, Path(__file__).with_name("trim_entries.lua"))
        self._pseudonyms = [Pseudonyms(each.pseudonyms) for each in all_keys]
        self.actor_signer = ActorSigner(*(each.mandates for each in all_keys))

    def append(self, trail: str, *entries: Entry) -> None:
        """Append entries; returns when they are stored. Raises DependencyUnavailable when that is not certain."""
        if entries:
            self._writer.append(trail, entries)

    def pseudonym(self, tenant: str, student_id: str) -> str:
        """A student's pseudonym for new entries."""
        return self._pseudonyms[0].of(tenant, student_id)

    def pseudonyms(self, tenant: str, student_id: str) -> list[str]:
        """All pseudonyms of a student in the tenant's trail: that for new entries, then that of the previous key, if any."""
        return [each.of(tenant, student_id) for each in self._pseudonyms]

    def chain(self, trail: str) -> Chain:
        """The chain that verifies the records of a trail."""
        return Chain(self._keys, trail, self._previous)

    def trails(self) -> list[str]:
        """All trails, sorted: those on the list, and those with any key left.

        An attacker who deleted a trail may have removed it from the list too, so keys are scanned as well.

        Returns:
            The names of the trails.
        """
        names = cast("set[bytes]", self._redis.smembers(self._names.audited()))
        begin, end = self._names.tenant("|").encode().split(b"|")
        for key in self._redis.scan_iter(self._names.every_audit(), count=SCAN_COUNT):
            names.add(key.removeprefix(begin).partition(end)[0])
        return sorted(name.decode(errors="backslashreplace") for name in names)

    def ends(self, trail: str) -> Ends:
        """The current ends of a trail."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hgetall(self._names.audit_anchor(trail))
        pipeline.hmget(self._names.audit_head(trail), "sequence", "mac")
        pipeline.xrevrange(self._names.audit(trail), count=1)
        replies = pipeline.execute(raise_on_error=False)
        raise_if_transient(replies)
        noted, written, last = (None if isinstance(each, redis.ResponseError) else each for each in replies)
        return Ends(
            anchor=None if noted is None else self.chain(trail).open_anchor(noted),
            head=None if written is None else parse_head(*written),
            last_id=last[0][0].decode() if last else "",
        )

    def oldest_first(self, trail: str, until: str = "+") -> Iterator[StreamEntry]:
        """Iterate over the records of a trail up to an id, read in pages."""
        stream = self._names.audit(trail)
        start = "-"
        while page := self._page(stream, start, until):
            yield from page
            last = page[-1][0]
            if len(page) < PAGE or last == until:
                return
            start = f"({last}"

    def newest_first(self, trail: str, before: str, limit: int) -> list[StreamEntry]:
        """Up to ``limit`` records older than an id ("" for the newest), newest first."""
        stream = self._names.audit(trail)
        records = self._redis.xrevrange(stream, max=f"({before}" if before else "+", count=limit)
        return _records(records)

    def trim(self, trail: str, believed: Head, removed: Head, removed_id: str) -> bool:
        """Remove the records up to that of the entry ``removed``. False if the anchor is not the ``believed`` one."""
        fields = self.chain(trail).anchor_fields(removed)
        arguments = [believed.sequence or "", next_id(removed_id), *(fields[name] for name in (b"sequence", b"mac", b"seal"))]
        return self._trim([self._names.audit(trail), self._names.audit_anchor(trail)], arguments) is not None

    def last_summary(self, tenant: str) -> bytes:
        """The text stored by ``keep_summary``, or nothing."""
        return cast("bytes | None", self._redis.get(self._names.audit_summary(tenant))) or b""

    def keep_summary(self, tenant: str, text: str) -> None:
        """Store the last summary of the tenant's events, so that unchanged totals are not appended again."""
        self._redis.set(self._names.audit_summary(tenant), text)

    def _page(self, stream: str, start: str, until: str) -> list[StreamEntry]:
        return _records(self._redis.xrange(stream, min=start, max=until, count=PAGE))


def _records(reply: Any) -> list[StreamEntry]:
    return [(entry_id.decode(), fields) for entry_id, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", reply)]
