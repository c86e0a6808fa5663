"""The keys that verify tokens: the shared secret, or the public keys of an identity provider.

A provider publishes its keys as a JWK Set (RFC 7517 section 5), each with an id (``kid``) that tokens refer to (RFC 7515
section 4.1.4). It rotates keys by publishing a new key before signing with it, and removing the old key later.
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

from app.config.settings import Settings
from app.config.token_settings import KEY_ALGORITHMS, SECRET_ALGORITHMS
from app.errors import DependencyUnavailable
from app.security.tokens import InvalidToken

# After this time the next use of a key fetches the set again. A removed key, such as a leaked one, is accepted until then.
LIFESPAN_SECONDS = 300.0
# Minimum time between attempts, since anyone can send tokens with unknown key ids, and retries do not help a provider that is
# down. A key that is used at once after its publication may be rejected for this long.
PAUSE_SECONDS = 30.0
# A provider takes milliseconds; callers wait for the first keys, or for a new key.
TIMEOUT_SECONDS = 2.0
MAX_BYTES = 1_000_000  # a set has a few keys of 400 bytes, some with certificates of 2 KB

_HEADERS = {"Accept": "application/jwk-set+json, application/json", "User-Agent": "mastery-engine"}
_log = logging.getLogger(__name__)

# By (kid, algorithm): a kid may have a key per algorithm (RFC 7517 section 4.5), valid only for tokens of that algorithm.
_Keys: TypeAlias = Mapping[tuple[str, str], PyJWK]


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


@dataclass
class _Attempt:
    """An attempt to fetch the keys."""

    began: float
    ended: Event = field(default_factory=Event)
    succeeded: bool = False


class SigningKeys:
    """The public keys at a JWKS URL, fetched on first use and refreshed by a background thread. Thread-safe.

    Known keys remain valid during a refresh and during an outage of any length. ``clock`` is monotonic, in seconds.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._lock = Lock()  # guards the latest attempt; only one runs at a time
        self._latest: _Attempt | None = None
        self._keys: _Keys = {}

    def key(self, kid: str, algorithm: str) -> PyJWK:
        """Look up a key. Waits up to ``TIMEOUT_SECONDS`` for an unknown one.

        Returns:
            The key with this id and algorithm.

        Raises:
            InvalidToken: The provider does not have the key.
            DependencyUnavailable: The provider does not answer.
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
        """The latest attempt; starts a new one if it is due."""
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
    """Choose the key for a token by its unverified header. Keys in the header (jwk, jku, x5u) are ignored.

    ``secret`` is the shared secret to try, the current or the previous one. Raises DependencyUnavailable when the provider does
    not answer.

    Returns:
        The secret, or a key of the provider.

    Raises:
        InvalidToken: The algorithm is not accepted, or the key is missing or unknown.
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
    """Rejects redirects, so that the keys come from the URL and scheme of the settings."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _BoundedConnection(HTTPConnection):
    """A connection closed after ``TIMEOUT_SECONDS`` in total, since a socket's timeout restarts with each byte."""

    def connect(self) -> None:
        super().connect()
        held = self.sock.dup()  # TLS detaches the original socket
        watchdog = Timer(TIMEOUT_SECONDS, _cut, [held])
        watchdog.daemon = True
        watchdog.start()


class _BoundedTlsConnection(HTTPSConnection, _BoundedConnection):
    """The same for TLS. Its ``connect`` starts the timer before the handshake, which may be slow too."""


def _cut(held: socket.socket) -> None:
    with held, suppress(OSError):  # already closed
        held.shutdown(socket.SHUT_RDWR)


class _BoundedHttp(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_BoundedConnection, req)


class _BoundedHttps(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_BoundedTlsConnection, req, context=ssl.create_default_context())


_opener = build_opener(_NoRedirects, _BoundedHttp, _BoundedHttps)


def _fetch(url: str) -> _Keys:
    """The usable keys at the URL. Raises DependencyUnavailable without an answer, or without a usable key (an error there)."""
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
    """The body at the URL, incomplete if the connection was closed by the timer. Raises OSError if it is too large."""
    body = b""
    request = Request(url, headers=_HEADERS)  # noqa: S310 - app/config/settings.py allows http and https only
    with _opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        while part := response.read1(MAX_BYTES):
            body += part
            if len(body) > MAX_BYTES:
                raise OSError
    return body


def _usable(jwk: dict[str, Any]) -> PyJWK | None:
    """Check a key of the set; unusable keys are ignored (RFC 7517 section 5).

    Returns:
        The key if it has an id and a known signature algorithm, and is long enough (RFC 7518 section 3.3); else None.
    """
    is_public = jwk.get("kty") in ("RSA", "EC") and "d" not in jwk  # d: a private key, compromised by its publication
    if not is_public or not isinstance(jwk.get("kid"), str):
        return None
    try:
        key = PyJWK({**jwk, "alg": None})  # derives the algorithm from type and curve
    except PyJWTError:
        return None
    is_meant = jwk.get("alg") in (None, key.algorithm_name) and jwk.get("use") in (None, "sig")
    is_known = key.algorithm_name in KEY_ALGORITHMS and not key.Algorithm.check_key_length(key.key)
    return key if is_meant and is_known else None


def _unavailable(state: str) -> DependencyUnavailable:
    return DependencyUnavailable("identity provider", state)
