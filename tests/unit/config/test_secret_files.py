"""Secrets can be read from files that orchestrators mount."""

from hashlib import sha256
from pathlib import Path

import pytest

from app.config.redacted import redacted
from app.config.secret_settings import FILE_VARIABLES
from app.config.settings import Settings, load_settings, unknown_settings
from app.errors import SettingsError
from tests.production import PRODUCTION

KAFKA = {"MASTERY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "MASTERY_KAFKA_USERNAME": "engine"}
VALUES = {
    "MASTERY_REDIS_URL": "rediss://:s3cret@redis:6380/0",
    "MASTERY_BROKER_URL": "rediss://:s3cret@broker:6380/0",
    "MASTERY_FLOWER_PASSWORD": "Fourteen geese fly over the lake",
}


def value(name: str) -> str:
    """A value that production accepts."""
    return VALUES.get(name, sha256(name.encode()).hexdigest())


def loaded(environ: dict[str, str]) -> Settings:
    return load_settings({**PRODUCTION, **KAFKA, "MASTERY_KAFKA_PASSWORD": "x", **environ})


def attribute(settings: Settings, name: str) -> str:
    return str(getattr(settings, name.removeprefix("MASTERY_").lower()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mounted secret"


def without(name: str) -> dict[str, str]:
    return {key: given for key, given in {**PRODUCTION, **KAFKA, "MASTERY_KAFKA_PASSWORD": "x"}.items() if key != name}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["as it is", "with a newline", "from Windows"])
@pytest.mark.parametrize("name", FILE_VARIABLES)
def test_each_secret_can_be_in_a_file(path: Path, name: str, end: str) -> None:
    """The final newline is removed, and the value is never shown."""
    path.write_bytes(f"{value(name)}{end}".encode())
    environ = {**without(name), f"{name}_FILE": str(path)}
    settings = load_settings(environ)
    assert attribute(settings, name) == value(name)
    assert unknown_settings(environ) == []
    shown = redacted(settings)[name]
    assert "***" in shown
    assert "s3cret" not in shown
    assert value(name) not in shown


@pytest.mark.parametrize("name", FILE_VARIABLES)
def test_both_are_refused(path: Path, name: str) -> None:
    """It would be unclear which one counts."""
    path.write_text(value(name))
    with pytest.raises(SettingsError) as refused:
        loaded({name: value(name), f"{name}_FILE": str(path)})
    assert str(refused.value) == f"{name}_FILE: {name} is set as well; set one of them"


def test_an_empty_name_is_none() -> None:
    """Templates write an empty name if there is no file."""
    assert loaded({"MASTERY_JWT_SECRET_FILE": ""}).jwt_secret == PRODUCTION["MASTERY_JWT_SECRET"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"one\ntwo\n", "holds more than one line of 2000 bytes"),
        (b"x" * 2001, "holds more than one line of 2000 bytes"),
        (b"a\0b", "holds more than one line of 2000 bytes"),
    ],
    ids=["missing", "empty", "blank", "no text", "two lines", "large", "zero byte"],
)
@pytest.mark.parametrize("others", [{}, PRODUCTION], ids=["development", "production"])
def test_what_cannot_be_used_is_refused_by_name(path: Path, content: bytes | None, reason: str, others: dict[str, str]) -> None:
    """No development secret is used instead, and the message does not quote the file."""
    if content is not None:
        path.write_bytes(content)
    environ = {name: value for name, value in others.items() if name != "MASTERY_AUDIT_KEY"}
    with pytest.raises(SettingsError) as refused:
        load_settings({**environ, "MASTERY_AUDIT_KEY_FILE": str(path)})
    assert str(refused.value) == f"MASTERY_AUDIT_KEY_FILE: {path} {reason}"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A failed mount may leave a folder."""
    with pytest.raises(SettingsError, match=r"^MASTERY_JWT_SECRET_FILE: .* cannot be read: Is a directory"):
        load_settings({"MASTERY_JWT_SECRET_FILE": str(tmp_path)})


def test_a_file_s_secret_is_judged_as_any(path: Path) -> None:
    """A secret from a file must be as strong as any other."""
    path.write_text("short\n")
    environ = {name: value for name, value in PRODUCTION.items() if name != "MASTERY_JWT_SECRET"}
    with pytest.raises(SettingsError, match=r"^MASTERY_JWT_SECRET: needs at least 32 bytes in production$"):
        load_settings({**environ, "MASTERY_JWT_SECRET_FILE": str(path)})
