"""The settings of the HTTP API, and their checks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from app.config.field_types import Port, RateLimits, Seconds, Switch, listed

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")  # RFC 6454 section 6.2: no path, no final slash


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """The part of ``app/config/settings.py`` about the API: its server, its waits and its rate limits."""

    # HTTP. One process of 8 threads uses the CPU time that the other parts leave on two cores.
    http_port: Port = 8005
    http_workers: Annotated[int, Meta(ge=1, le=64)] = 1
    http_threads: Annotated[int, Meta(ge=1, le=256)] = 8
    # Connections per process: slow, idle and busy. Each takes a file descriptor; a common limit is 1,024.
    http_connections: Annotated[int, Meta(ge=16, le=100_000)] = 800
    # Answers that stream at the same time per process, such as all results of a batch; others get a 503. Each has a thread of
    # its own, some 0.5 MB, and a slow client keeps it.
    http_streams: Annotated[int, Meta(ge=1, le=256)] = 8
    # From a request's first byte to its last (2 MB at 200 KB/s); then the connection is closed.
    http_request_seconds: Annotated[float, Meta(ge=1, le=600)] = 10.0
    http_max_header_bytes: Annotated[int, Meta(ge=4096, le=1_000_000)] = 32_768  # per header: a token with 500 cohorts
    http_max_body_bytes: Annotated[int, Meta(ge=1024, le=100_000_000)] = 2_000_000
    calculate_wait_seconds: Seconds = 5.0  # how long a caller waits for a task before it gets a 202
    # Callers per process that wait at the same time, each blocking a thread; others get a 202 at once. At least one thread
    # stays free for requests without tasks, whatever this says.
    calculate_waiters: Annotated[int, Meta(ge=0, le=255)] = 6
    ingest_wait_seconds: Seconds = 5.0  # how long a request waits for Kafka's acknowledgement before it gets a 503
    # How long the response to an idempotent request is kept: a client that was offline overnight finds it. About 0.3 KB each.
    idempotency_ttl_seconds: Annotated[int, Meta(ge=60, le=30 * 86400)] = 86_400
    http_trusted_proxies: Annotated[int, Meta(ge=0, le=10)] = 0  # number of proxies that add X-Forwarded-For and -Proto
    cors_origins: str = ""  # origins whose pages may call the API, comma-separated

    # Rate limits per caller and area; sliding windows.
    ratelimit_enabled: Switch = "on"
    ratelimit_mastery: RateLimits = "50/minute"
    ratelimit_ingest: RateLimits = "600/minute"  # of up to 500 events: the throughput of one worker
    ratelimit_export: RateLimits = "10/hour"  # each searches all results of the tenant's batches: 0.4 s for 1,000,000
    ratelimit_default: RateLimits = "120/minute"
    ratelimit_anonymous: RateLimits = "300/minute"  # per address: public routes, and requests without a valid token


def http_contradictions(settings: HttpSettings) -> Iterator[str]:
    """Origins that cannot be."""
    wrong = [each for each in listed(settings.cors_origins) if each != "*" and not _ORIGIN.fullmatch(each)]
    if wrong:
        yield f"MASTERY_CORS_ORIGINS: {', '.join(wrong)} is no origin, as in https://school.example"


def weak_http(settings: HttpSettings) -> Iterator[str]:
    """What production rejects, one line each."""
    origins = listed(settings.cors_origins)
    if settings.ratelimit_enabled == "off":
        yield "MASTERY_RATELIMIT_ENABLED: off is refused in production"
    if "*" in origins:
        yield "MASTERY_CORS_ORIGINS: * is refused in production; name the origins"
    if plain := [each for each in origins if each.startswith("http:")]:
        yield f"MASTERY_CORS_ORIGINS: {', '.join(plain)} is refused in production; origins begin with https://"
