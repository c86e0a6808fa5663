"""Decodes the hash of a batch, which ``create_batch.lua`` describes."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from app.batches.batch import Batch, BatchOrder, BatchStatus, CallbackState, Summary, moment
from app.errors import NotFound

UNKNOWN_TOTAL = -1

_order = msgspec.json.Decoder(BatchOrder)
_summary = msgspec.json.Decoder(Summary)


class OtherVersion(NotFound):
    """The batch was stored by another version of the engine, and cannot be read by this one."""


class _Parts(msgspec.Struct):
    owner: str = ""
    callback_url: str = ""


_parts = msgspec.json.Decoder(_Parts)


def decode_order(text: bytes) -> BatchOrder:
    """The order of a batch. Raises OtherVersion if this version does not know all of it."""
    try:
        return _order.decode(text)
    except msgspec.ValidationError as error:
        raise OtherVersion("the batch is of another version of the service") from error


def owner_of(order: bytes) -> str:
    """The owner in an order, also in one of another version."""
    return _parts.decode(order).owner


def has_callback(order: bytes) -> bool:
    """Whether the end of the batch is to be announced, also for an order of another version."""
    return bool(_parts.decode(order).callback_url)


def decode_batch(batch_id: str, fields: Mapping[bytes, bytes]) -> Batch:
    """A batch from its hash. Raises OtherVersion.

    Returns:
        The batch.

    Raises:
        NotFound: The hash is empty.
    """
    if b"order" not in fields:
        raise NotFound("no such batch, or it has been removed")
    total, order = int(fields[b"total"]), decode_order(fields[b"order"])
    return Batch(
        batch_id=batch_id,
        order=order,
        status=BatchStatus(fields[b"status"].decode()),
        created=moment(int(fields[b"created"])),
        started=_moment(fields, b"started"),
        finished=_moment(fields, b"finished"),
        total=None if total == UNKNOWN_TOTAL else total,
        succeeded=int(fields[b"succeeded"]),
        failed=int(fields[b"failed"]),
        erased=int(fields.get(b"erased", b"0")),
        reason=fields.get(b"reason", b"").decode(),
        summary=_summary.decode(fields[b"summary"]) if fields.get(b"summary") else None,
        summary_basis=fields.get(b"summary_basis", b"").decode(),
        callback=CallbackState(fields.get(b"callback", b"pending").decode()) if order.callback_url else None,
    )


def _moment(fields: Mapping[bytes, bytes], name: bytes) -> datetime | None:
    return moment(int(fields[name])) if name in fields else None
