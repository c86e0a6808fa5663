"""TLS settings: files must be usable, and settings without an effect are rejected."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key

from app.config.settings import load_settings
from app.errors import SettingsError
from tests.certificates import Authority, Pair
from tests.production import PRODUCTION

SASL = {"MASTERY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "MASTERY_KAFKA_USERNAME": "u", "MASTERY_KAFKA_PASSWORD": "hunter2"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("engine.example")


def refusal(**variables: str) -> list[str]:
    """The errors of these settings, one per line."""
    with pytest.raises(SettingsError) as refused:
        load_settings({f"MASTERY_{name}": value for name, value in variables.items()})
    assert "hunter2" not in str(refused.value)
    return str(refused.value).splitlines()


def test_files_that_can_be_used_are_taken(authority: Authority, pair: Pair) -> None:
    """All of them together, each with the setting it belongs to."""
    files = {
        f"MASTERY_{part}_{kind}_FILE": path
        for part in ("REDIS", "KAFKA", "HTTP")
        for kind, path in (("CA", authority.file), ("CERT", pair.certificate), ("KEY", pair.key))
        if (part, kind) != ("HTTP", "CA")
    }
    assert load_settings({**files, **SASL, "MASTERY_REDIS_URL": "rediss://redis/0"}).http_key_file == pair.key


@pytest.mark.parametrize("part", ["REDIS", "KAFKA", "HTTP"])
def test_a_file_that_is_not_there_is_named(part: str, pair: Pair) -> None:
    """A missing file of any kind is an error before anything connects."""
    protocol = {"KAFKA_SECURITY_PROTOCOL": "SSL"}
    said = refusal(**protocol, **{f"{part}_CERT_FILE": "/nowhere.pem", f"{part}_KEY_FILE": pair.key})
    assert said == [f"MASTERY_{part}_CERT_FILE: /nowhere.pem cannot be read"]


def test_a_certificate_without_its_key_is_refused(pair: Pair) -> None:
    """So is a key without its certificate."""
    assert refusal(HTTP_CERT_FILE=pair.certificate) == ["MASTERY_HTTP_CERT_FILE: needs MASTERY_HTTP_KEY_FILE"]
    assert refusal(HTTP_KEY_FILE=pair.key) == ["MASTERY_HTTP_KEY_FILE: needs MASTERY_HTTP_CERT_FILE"]


def test_authorities_that_are_none_are_refused(pair: Pair, tmp_path: Path) -> None:
    """A key or a folder is not a CA file."""
    for path in (pair.key, str(tmp_path)):
        assert refusal(REDIS_CA_FILE=path) == [f"MASTERY_REDIS_CA_FILE: {path} holds no certificates in PEM"]


def test_a_key_that_is_not_the_certificate_s_is_refused(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    """The key is another one, or needs a password, which nobody could type."""
    locked = tmp_path / "locked.key"
    key = load_pem_private_key(Path(pair.key).read_bytes(), None)
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    for path in (authority.issue("other.example").key, str(locked)):
        said = refusal(HTTP_CERT_FILE=pair.certificate, HTTP_KEY_FILE=path)
        assert len(said) == 1
        assert said[0].startswith(f"MASTERY_HTTP_KEY_FILE: {path} is not the key")


def test_what_would_do_nothing_is_refused(authority: Authority, pair: Pair) -> None:
    """Files and passwords of an unused connection are rejected, since the user believes that they work."""
    own = {"CERT_FILE": pair.certificate, "KEY_FILE": pair.key}
    assert refusal(KAFKA_CA_FILE=authority.file) == [
        "MASTERY_KAFKA_CA_FILE: needs MASTERY_KAFKA_SECURITY_PROTOCOL to be SSL or SASL_SSL"
    ]
    assert refusal(**{f"KAFKA_{name}": path for name, path in own.items()}) == [
        "MASTERY_KAFKA_CERT_FILE: needs MASTERY_KAFKA_SECURITY_PROTOCOL to be SSL or SASL_SSL"
    ]
    assert refusal(REDIS_URL="redis://redis/0", REDIS_CA_FILE=authority.file) == [
        "MASTERY_REDIS_CA_FILE: needs a rediss:// URL"
    ]
    assert refusal(KAFKA_USERNAME="u", KAFKA_PASSWORD="hunter2") == [
        "MASTERY_KAFKA_USERNAME: needs MASTERY_KAFKA_SECURITY_PROTOCOL to be SASL_SSL",
        "MASTERY_KAFKA_PASSWORD: needs MASTERY_KAFKA_SECURITY_PROTOCOL to be SASL_SSL",
    ]


def test_files_may_wait_for_a_url_that_the_running_stack_names(authority: Authority) -> None:
    """Commands read the URL from the data folder later; one TLS URL out of two is enough."""
    assert load_settings({"MASTERY_REDIS_CA_FILE": authority.file}).redis_ca_file
    urls = {"MASTERY_REDIS_URL": "redis://here/0", "MASTERY_BROKER_URL": "rediss://there/0"}
    assert load_settings({**urls, "MASTERY_REDIS_CA_FILE": authority.file}).redis_ca_file


@pytest.mark.parametrize("missing", ["USERNAME", "PASSWORD"])
def test_sasl_needs_a_name_and_a_password(missing: str) -> None:
    """Both are required."""
    given = {name.removeprefix("MASTERY_"): value for name, value in SASL.items() if not name.endswith(missing)}
    assert refusal(**given) == [f"MASTERY_KAFKA_SECURITY_PROTOCOL: SASL needs MASTERY_KAFKA_{missing}"]


@pytest.mark.parametrize("name", ["MASTERY_REDIS_URL", "MASTERY_BROKER_URL"])
@pytest.mark.parametrize(
    "query", ["ssl_cert_reqs=none", "db=1&ssl_check_hostname=false", "ssl%5Fmin_version=769", "ssl_ciphers="]
)
def test_a_url_cannot_turn_verification_off_in_production(name: str, query: str) -> None:
    """TLS options of a URL would override the engine's, so production rejects them; development accepts them."""
    url = f"rediss://redis/0?{query}"
    with pytest.raises(SettingsError, match=f"^{name}: options that begin with ssl_ are refused in production"):
        load_settings({**PRODUCTION, name: url})
    assert load_settings({name: url})


def test_other_options_of_a_url_are_let_through() -> None:
    """They do not affect TLS."""
    assert load_settings({**PRODUCTION, "MASTERY_REDIS_URL": "rediss://redis/0?protocol=3&password=p"})


def test_a_password_is_not_sent_readably_in_production() -> None:
    """PLAIN sends the password itself; SCRAM only proves that it is known (RFC 5802)."""
    plain = {**PRODUCTION, **SASL, "MASTERY_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "MASTERY_KAFKA_SASL_MECHANISM": "PLAIN"}
    with pytest.raises(SettingsError, match=r"^MASTERY_KAFKA_SASL_MECHANISM: PLAIN without TLS is refused"):
        load_settings(plain)
    assert load_settings({**plain, "MASTERY_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"})
    assert load_settings({**plain, "MASTERY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})
