"""The record of an erasure in Kafka, on ``mastery.erasures``, which survives a loss of Redis. It has no student's id."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from app.identifiers import Identifier
from app.privacy.erasure import moment
from app.pseudonyms import PSEUDONYM_BYTES, WHOLE_TENANT


class ErasureRecord(Struct, frozen=True, kw_only=True):
    """Everything of a student was erased up to a moment.

    Attributes:
        tenant_id: the student's tenant.
        pseudonym: the student's, as in the audit trail; ``*`` for all students of the tenant.
        erased_until: events with a timestamp up to this moment are never recorded again.
    """

    tenant_id: Identifier
    pseudonym: Annotated[str, Meta(pattern=rf"^([0-9a-f]{{{2 * PSEUDONYM_BYTES}}}|\{WHOLE_TENANT})\Z")]
    erased_until: Annotated[datetime, Meta(tz=True)]


_decoder = msgspec.json.Decoder(ErasureRecord)
_encode = msgspec.json.Encoder().encode


def encode_record(tenant: str, pseudonym: str, until: int) -> bytes:
    """The record's value: JSON. ``until`` is in microseconds since 1970-01-01."""
    return _encode(ErasureRecord(tenant_id=tenant, pseudonym=pseudonym, erased_until=moment(until)))


def decode_record(value: bytes) -> ErasureRecord | None:
    """The record; None if this is not one."""
    try:
        return _decoder.decode(value)
    except msgspec.MsgspecError:
        return None
