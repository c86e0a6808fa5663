"""The settings of TLS, of the names and passwords that only it protects, and what can be wrong with them."""

import os
import ssl
from collections.abc import Iterator
from typing import Literal
from urllib.parse import parse_qs

import msgspec

PARTS = ("redis", "kafka", "http")


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"MASTERY_{name.upper()}"):
    """Those of ``app/settings.py`` that are about how connections are protected: docs/tls.md."""

    redis_url: str = ""
    broker_url: str = ""

    # TLS to Redis where its URL says rediss://, and to Kafka. Empty: the system's authorities, and no client certificate.
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

    http_cert_file: str = ""  # with the key file: the API speaks HTTPS
    http_key_file: str = ""


def tls_contradictions(settings: TlsSettings) -> list[str]:
    """Files that cannot be used, and settings that would do nothing: whoever set them believes that they do."""
    speaks_sasl = settings.kafka_security_protocol.startswith("SASL")
    speaks_tls = settings.kafka_security_protocol.endswith("SSL")
    urls = [url for url in (settings.redis_url, settings.broker_url) if url]  # of an embedded server, none is known yet
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
    """What makes connections less safe than they look."""
    for name, url in (("MASTERY_REDIS_URL", settings.redis_url), ("MASTERY_BROKER_URL", settings.broker_url)):
        # They would come before what the engine asks for: ssl_cert_reqs=none turns it all off.
        if any(option.startswith("ssl_") for option in parse_qs(url.partition("?")[2], keep_blank_values=True)):
            yield f"{name}: options that begin with ssl_ are refused in production; there are settings, see docs/tls.md"
    if (settings.kafka_security_protocol, settings.kafka_sasl_mechanism) == ("SASL_PLAINTEXT", "PLAIN"):
        yield "MASTERY_KAFKA_SASL_MECHANISM: PLAIN without TLS is refused in production, since it sends the password readably"


def _unusable_files(settings: TlsSettings, part: str) -> Iterator[str]:
    files = {kind: path for kind in ("ca", "cert", "key") if (path := _file(settings, part, kind))}
    unreadable = {kind for kind, path in files.items() if not os.access(path, os.R_OK)}
    for kind in sorted(unreadable):
        yield f"{_name(part, kind)}: {files[kind]} cannot be read"
    for kind, other in (("cert", "key"), ("key", "cert")):
        if kind in files and other not in files:
            yield f"{_name(part, kind)}: needs {_name(part, other)}"
    if "ca" in files.keys() - unreadable and not _has_certificates(files["ca"]):
        yield f"{_name(part, 'ca')}: {files['ca']} holds no certificates in PEM"
    if {"cert", "key"} <= files.keys() - unreadable and not _go_together(files["cert"], files["key"]):
        yield f"{_name(part, 'key')}: {files['key']} is not the key, in PEM and unencrypted, of the certificate {files['cert']}"


def _has_certificates(path: str) -> bool:
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # which an SSLError is
        return False
    return True


def _go_together(certificate: str, key: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")  # without one, it would ask
    except OSError:  # which an SSLError is
        return False
    return True


def _file(settings: TlsSettings, part: str, kind: str) -> str:
    return str(getattr(settings, f"{part}_{kind}_file", ""))  # there is no http_ca_file


def _name(part: str, kind: str) -> str:
    return f"MASTERY_{part}_{kind}_FILE".upper()
