"""The keys that tokens are verified with: the shared secret, or the public keys of an identity provider.

A provider publishes its keys as a JWK Set (RFC 7517 section 5), each with an id (``kid``) that tokens name (RFC 7515 section
4.1.4). It rotates them by publishing a new one before it signs with it, and later taking the old one away.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from threading import Event, Lock, Thread, Timer
from typing import Any, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import msgspec
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from app.config.settings import KEY_ALGORITHMS, SECRET_ALGORITHMS, Settings
from app.errors import DependencyUnavailable
from app.security.tokens import InvalidToken

# Then the next use of a key has them fetched anew: one that the provider takes away, since it leaked, say, works until then.
LIFESPAN_SECONDS = 300.0
# From one attempt to the next at the least: anyone can send tokens with ids of keys that do not exist, and a provider that is
# down is not helped by being asked. So much later than the last attempt a key may be known that was used as soon as published.
PAUSE_SECONDS = 30.0
# A provider takes milliseconds; a caller waits for the first keys, or for a new one.
TIMEOUT_SECONDS = 2.0
MAX_BYTES = 1_000_000  # a set has a handful of keys of 400 bytes, some of them with certificates of 2 KB

_HEADERS = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "mastery-engine"}
_log = logging.getLogger(__name__)

# By kid and algorithm: one kid may have a key for each (RFC 7517 section 4.5), and none verifies another algorithm's tokens.
_Keys: TypeAlias = Mapping[tuple[str, str], PyJWK]


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


@dataclass
class _Attempt:
    """To fetch the keys."""

    began: float
    ended: Event = field(default_factory=Event)
    succeeded: bool = False


class SigningKeys:
    """The public keys behind a JWKS URL, fetched when first needed and refreshed by a thread of their own. Thread-safe.

    Known keys work on while others are fetched, and while the provider is away, however long. ``clock`` counts seconds and
    never goes back.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._lock = Lock()  # of the latest attempt: there is one at a time
        self._latest: _Attempt | None = None
        self._keys: _Keys = {}

    def key(self, kid: str, algorithm: str) -> PyJWK:
        """The key of this id for this algorithm; waits up to ``TIMEOUT_SECONDS`` for one that is not known yet.

        Raises InvalidToken if the provider has none, DependencyUnavailable if that cannot be told.
        """
        wanted = (kid, algorithm)
        attempt = self._attempt(is_known=wanted in self._keys)
        if wanted not in self._keys:
            attempt.ended.wait(max(0.0, attempt.began + TIMEOUT_SECONDS - self._clock()))
        try:
            return self._keys[wanted]
        except KeyError:
            if attempt.succeeded:
                raise InvalidToken("The token's key is not known.") from None
            raise DependencyUnavailable("identity provider") from None

    def _attempt(self, *, is_known: bool) -> _Attempt:
        """The latest attempt: a new one if it is time for that."""
        with self._lock:
            latest, now = self._latest, self._clock()
            if latest is not None:
                interval = LIFESPAN_SECONDS if is_known and latest.succeeded else PAUSE_SECONDS
                if not latest.ended.is_set() or now - latest.began < interval:
                    return latest
            attempt = _Attempt(now)
            Thread(target=self._refresh, args=(attempt,), name="signing-keys", daemon=True).start()
            self._latest = attempt
            return attempt

    def _refresh(self, attempt: _Attempt) -> None:
        try:
            self._keys = _fetch(self._url)
            attempt.succeeded = True
        except DependencyUnavailable as error:
            parts = urlsplit(self._url)  # its query may hold a secret
            _log.warning("%s (keys of %s://%s%s)", error, parts.scheme, parts.hostname, parts.path)
        finally:
            attempt.ended.set()


def verification_key(header: Mapping[str, Any], settings: Settings, keys: SigningKeys, secret: str) -> str | PyJWK:
    """The key for a token with this header, which nobody has verified: it chooses among keys, and brings none (jwk, jku, x5u).

    ``secret`` is the one to try, of those that the settings name.

    Raises InvalidToken for an algorithm that the settings do not name, or a key that there is none of; DependencyUnavailable.
    """
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in settings.algorithms:
        raise InvalidToken("The token's algorithm is not accepted.")
    if algorithm in SECRET_ALGORITHMS:
        return secret
    if kid is None:
        raise InvalidToken("The token does not say which key signed it: its header has no kid.")
    return keys.key(kid, algorithm)


class _NoRedirects(HTTPRedirectHandler):
    """The keys are where the settings say, over the scheme that they say."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _BoundedConnection(HTTPConnection):
    """Is cut when ``TIMEOUT_SECONDS`` have passed, whatever is going on: the timeout of a socket begins anew with each byte."""

    def connect(self) -> None:
        super().connect()
        held = self.sock.dup()  # TLS takes the socket itself away
        watchdog = Timer(TIMEOUT_SECONDS, _cut, [held])
        watchdog.daemon = True
        watchdog.start()


class _BoundedTlsConnection(HTTPSConnection, _BoundedConnection):
    """The same: its ``connect`` calls that of the other before the handshake, which may trickle as well."""


def _cut(held: socket.socket) -> None:
    with held, suppress(OSError):  # it has ended
        held.shutdown(socket.SHUT_RDWR)


class _BoundedHttp(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_BoundedConnection, req)


class _BoundedHttps(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_BoundedTlsConnection, req, context=ssl.create_default_context())


_opener = build_opener(_NoRedirects, _BoundedHttp, _BoundedHttps)


def _fetch(url: str) -> _Keys:
    """The usable keys at the URL. Raises DependencyUnavailable when it does not answer, or with none.

    A set without any is taken for a provider's mistake: keys that are known go on working.
    """
    try:
        keys = msgspec.json.decode(_read(url), type=_KeySet).keys
    except HTTPError as error:
        error.close()
        raise _unavailable(f"answers {error.code}") from error
    except URLError as error:
        raise _unavailable(f"cannot be reached: {error.reason}") from error
    except (OSError, HTTPException, UnicodeError, msgspec.MsgspecError, RecursionError) as error:
        raise _unavailable(f"does not answer with keys: {type(error).__name__}") from error
    usable = {(key.key_id, key.algorithm_name): key for key in map(_usable, keys) if key and key.key_id}
    if not usable:
        raise _unavailable("answers with no key that can be used")
    return usable


def _read(url: str) -> bytes:
    """The body at the URL, or what came of it until the connection was cut. Raises OSError if it is too large."""
    body = b""
    request = Request(url, headers=_HEADERS)  # noqa: S310 - app/config/settings.py allows http and https only
    with _opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        while part := response.read1(MAX_BYTES):
            body += part
            if len(body) > MAX_BYTES:
                raise OSError
    return body


def _usable(jwk: dict[str, Any]) -> PyJWK | None:
    """The key, if it has an id, verifies signatures of an algorithm that the engine knows, and is long enough.

    Others are passed over, as RFC 7517 section 5 has it. Source of the length: RFC 7518 section 3.3.
    """
    is_public = jwk.get("kty") in ("RSA", "EC") and "d" not in jwk  # d: a private key, which everybody can read now
    if not is_public or not isinstance(jwk.get("kid"), str):
        return None
    try:
        key = PyJWK({**jwk, "alg": None})  # its algorithm is that of its type and curve
    except PyJWTError:
        return None
    is_meant = jwk.get("alg") in (None, key.algorithm_name) and jwk.get("use") in (None, "sig")
    is_known = key.algorithm_name in KEY_ALGORITHMS and not key.Algorithm.check_key_length(key.key)
    return key if is_meant and is_known else None


def _unavailable(state: str) -> DependencyUnavailable:
    return DependencyUnavailable("identity provider", state)
