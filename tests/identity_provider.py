"""An identity provider as seen by the engine: a web server with a JWK Set, and tokens signed with its keys."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def jwk(key: PrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    """The published form of a key: its public part."""
    public = key.public_key()
    algorithm: Any = RSAAlgorithm if isinstance(public, rsa.RSAPublicKey) else ECAlgorithm
    return {**algorithm.to_jwk(public, as_dict=True), "kid": kid, **more}


def signed(key: PrivateKey, kid: str | None, claims: Mapping[str, Any], **header: Any) -> str:
    """A token signed by the key with its own algorithm."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return jwt.encode(dict(claims), key, algorithm=algorithm, headers=header | ({"kid": kid} if kid else {}))


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def forged(header: Any, payload: Any, sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    """A token of any parts, given as JSON or as bytes."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload))
    signing_input = ".".join(encoded(part) for part in parts)
    return f"{signing_input}.{encoded(sign(signing_input.encode()))}"


RSA, EC, THIEF = rsa_key(), ec_key(), rsa_key()
CLAIMS = {"sub": "s-1", "role": "student", "tenant": "t-1", "jti": "j-1"}


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a token that is valid for an hour; None omits a claim."""
    now = int(time.time())
    return {name: value for name, value in (CLAIMS | {"iat": now, "exp": now + 3600} | changes).items() if value is not None}


def by_rsa(message: bytes) -> bytes:
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())


class IdentityProvider:
    """Serves what is in ``keys``, or ``body`` if that is set, with ``status`` after ``delay`` seconds; counts the requests."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.body: bytes | None = None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.trickle = 0.0  # seconds from byte to byte of the body
        self.trickle_head = 0.0  # the same for a header that comes before the body
        self.requests: list[str] = []
        self.start()

    def start(self, port: int = 0) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests.append(self.path)
                time.sleep(provider.delay)
                body = json.dumps({"keys": provider.keys}).encode() if provider.body is None else provider.body
                if provider.trickle_head:
                    self.trickle(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000, provider.trickle_head)
                    return
                self.send_response(provider.status)
                for name, value in {"Content-Length": str(len(body)), **provider.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.trickle(body, provider.trickle)

            def trickle(self, text: bytes, pause: float) -> None:
                try:
                    for byte in text if pause else ():
                        self.wfile.write(bytes([byte]))
                        time.sleep(pause)
                    self.wfile.write(b"" if pause else text)
                except OSError:
                    return  # the client has given up

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/keys"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on; ``start(port)`` reverts it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
