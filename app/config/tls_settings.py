"""The settings of TLS and of the credentials sent over it, and their checks."""

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from app.config.field_types import Switch
from app.config.url_settings import broker_hosts, is_loopback, is_redis_url, url_password

PARTS = ("redis", "kafka", "http", "callback")
_PLAINTEXT_REFUSED = "is refused in production; inside a private network, MASTERY_ALLOW_PLAINTEXT=on allows it"


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """The part of ``app/config/settings.py`` that protects connections; see docs/tls.md."""

    # Addresses of servers. Empty: `mastery up` embeds them and writes their addresses into its data folder.
    redis_url: str = ""
    broker_url: str = ""
    kafka_bootstrap: str = ""

    # TLS to Redis (with a rediss:// URL) and to Kafka. Empty: the system's CAs, and no client certificate.
    redis_ca_file: str = ""
    redis_cert_file: str = ""
    redis_key_file: str = ""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: str = ""
    kafka_ca_file: str = ""
    kafka_cert_file: str = ""
    kafka_key_file: str = ""

    # In production, connections to other machines must be encrypted, unless this declares the network private.
    allow_plaintext: Switch = "off"

    http_cert_file: str = ""  # with the key file: the API speaks HTTPS
    http_key_file: str = ""

    callback_ca_file: str = ""  # authorities of receivers of callbacks, in addition to those of the system


def tls_contradictions(settings: TlsSettings) -> list[str]:
    """Unusable files, and settings without effect, which suggest a protection that is not there."""
    speaks_sasl = settings.kafka_security_protocol.startswith("SASL")
    speaks_tls = settings.kafka_security_protocol.endswith("SSL")
    urls = [url for url in (settings.redis_url, settings.broker_url) if url]  # the URL of an embedded server is not known yet
    no_tls_to_redis = urls and not any(url.startswith("rediss://") for url in urls)
    credentials = {"USERNAME": settings.kafka_username, "PASSWORD": settings.kafka_password}
    problems = [problem for part in PARTS for problem in _unusable_files(settings, part)]
    for name, value in credentials.items():
        if value and not speaks_sasl:
            problems.append(f"MASTERY_KAFKA_{name}: needs MASTERY_KAFKA_SECURITY_PROTOCOL to be SASL_SSL")
        elif speaks_sasl and not value:
            problems.append(f"MASTERY_KAFKA_SECURITY_PROTOCOL: SASL needs MASTERY_KAFKA_{name}")
    for kind in ("ca", "cert"):
        if _file(settings, "kafka", kind) and not speaks_tls:
            problems.append(f"{_name('kafka', kind)}: needs MASTERY_KAFKA_SECURITY_PROTOCOL to be SSL or SASL_SSL")
        if _file(settings, "redis", kind) and no_tls_to_redis:
            problems.append(f"{_name('redis', kind)}: needs a rediss:// URL")
    return problems


def weak_tls(settings: TlsSettings) -> Iterator[str]:
    """Settings that production rejects: unencrypted connections, and options that weaken TLS."""
    for name, url in (("MASTERY_REDIS_URL", settings.redis_url), ("MASTERY_BROKER_URL", settings.broker_url)):
        # URL options override the engine's TLS options: ssl_cert_reqs=none disables verification.
        if any(option.startswith("ssl_") for option in parse_qs(url.partition("?")[2], keep_blank_values=True)):
            yield f"{name}: options that begin with ssl_ are refused in production; there are settings, see docs/tls.md"
        if is_redis_url(url):
            yield from (f"{name}: {problem}" for problem in _open_redis(settings, url))
    protocol = settings.kafka_security_protocol
    if (protocol, settings.kafka_sasl_mechanism) == ("SASL_PLAINTEXT", "PLAIN"):
        yield "MASTERY_KAFKA_SASL_MECHANISM: PLAIN without TLS is refused in production, since it sends the password readably"
    is_remote = not all(map(is_loopback, broker_hosts(settings.kafka_bootstrap)))
    if is_remote and not protocol.endswith("SSL") and settings.allow_plaintext == "off":
        yield f"MASTERY_KAFKA_SECURITY_PROTOCOL: {protocol} to another machine {_PLAINTEXT_REFUSED}"


def _open_redis(settings: TlsSettings, url: str) -> Iterator[str]:
    """Why production rejects the URL of a Redis on another machine."""
    if is_loopback(urlsplit(url).hostname or "localhost"):  # a Unix socket has no host; file permissions protect it
        return
    is_encrypted = url.startswith("rediss://")
    if not url_password(url) and not (is_encrypted and settings.redis_cert_file):
        yield "needs a password in production, as in rediss://:password@host, or the engine's certificate"
    if not is_encrypted and settings.allow_plaintext == "off":
        yield f"redis:// to another machine {_PLAINTEXT_REFUSED}"


def _unusable_files(settings: TlsSettings, part: str) -> Iterator[str]:
    """Problems with the certificate and key files of "redis", "kafka", "http" or "callback"."""
    files = {kind: path for kind in ("ca", "cert", "key") if (path := _file(settings, part, kind))}
    unreadable = {kind for kind, path in files.items() if not os.access(path, os.R_OK)}
    for kind in sorted(unreadable):
        yield f"{_name(part, kind)}: {files[kind]} cannot be read"
    for kind, other in (("cert", "key"), ("key", "cert")):
        if kind in files and other not in files:
            yield f"{_name(part, kind)}: needs {_name(part, other)}"
    if "ca" in files.keys() - unreadable and not _has_certificates(files["ca"]):
        yield f"{_name(part, 'ca')}: {files['ca']} holds no certificates in PEM"
    if {"cert", "key"} <= files.keys() - unreadable and not _is_key_of_certificate(files["cert"], files["key"]):
        yield f"{_name(part, 'key')}: {files['key']} is not the key, in PEM and unencrypted, of the certificate {files['cert']}"


def _has_certificates(path: str) -> bool:
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # includes SSLError
        return False
    return True


def _is_key_of_certificate(certificate: str, key: str) -> bool:
    try:
        # Without a password, it would prompt for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except OSError:  # includes SSLError
        return False
    return True


def _file(settings: TlsSettings, part: str, kind: str) -> str:
    return str(getattr(settings, f"{part}_{kind}_file", ""))  # not each part has each kind


def _name(part: str, kind: str) -> str:
    return f"MASTERY_{part}_{kind}_FILE".upper()
