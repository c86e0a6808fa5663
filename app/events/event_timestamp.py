"""Parses an event's ``timestamp``: ISO 8601 with an offset (RFC 3339 is a subset), or epoch milliseconds.

A regular expression checks the text first: ``datetime.fromisoformat`` accepts different formats in different Python versions,
and any character between date and time.
"""

import re
from datetime import UTC, datetime, timedelta

from app.errors import InvalidInput

MAX_CLOCK_SKEW = timedelta(minutes=5)  # how far a producer's clock may be ahead
# Detects epoch seconds, which stay below this until the year 5138; as milliseconds it is in March 1973, before any event.
FEWEST_MILLISECONDS = 100_000_000_000
RULE = "must be ISO 8601 with an offset, or epoch milliseconds"

_ISO_8601 = re.compile(
    r"[0-9W-]{7,10}"  # a calendar date or a week date, with hyphens or without
    r"[Tt ]"
    r"(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?(?P<seconds>[0-5][0-9]|60)(?:[.,][0-9]{1,30})?)?)?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)


def parse_moment(timestamp: str | int, now: datetime) -> datetime:
    """Parse a timestamp.

    Returns:
        The moment in UTC. A leap second becomes the second before it, so that it stays on its day.

    Raises:
        InvalidInput: It is not a timestamp, or more than ``MAX_CLOCK_SKEW`` after ``now``.
    """
    try:
        moment = _from_milliseconds(timestamp) if isinstance(timestamp, int) else _from_text(timestamp)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput("timestamp", RULE) from error
    if moment - now > MAX_CLOCK_SKEW:
        raise InvalidInput("timestamp", f"lies more than {MAX_CLOCK_SKEW.seconds // 60} minutes in the future")
    return moment


def _from_milliseconds(timestamp: int) -> datetime:
    if timestamp < FEWEST_MILLISECONDS:
        raise InvalidInput("timestamp", "must be epoch milliseconds; this is before 1973, or in seconds")
    return datetime.fromtimestamp(timestamp / 1000, UTC)


def _from_text(text: str) -> datetime:
    found = _ISO_8601.fullmatch(text)
    if found is None:
        raise InvalidInput("timestamp", RULE)
    if found["offset"] is None:
        raise InvalidInput("timestamp", "needs an offset, such as Z")
    if found["seconds"] != "60":
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    place = found.start("seconds")
    moment = datetime.fromisoformat(f"{text[:place]}59{text[place + 2 :]}".upper()).astimezone(UTC)
    if (moment.hour, moment.minute) != (23, 59):
        raise InvalidInput("timestamp", "has a leap second, which there is only at 23:59:60 UTC")
    return moment
