"""Weak secrets are recognized, and random ones are accepted."""

import base64
import random

import pytest

from app.config.secret_strength import is_variation, weakness

RANDOM = random.Random(1)


def made() -> list[str]:
    """Typical secrets: hexadecimal digits, Base64 in two lengths, Diceware words."""
    words = ["lamp", "orchid", "gravel", "tunic", "breeze", "mosaic", "ladder", "quartz", "velvet", "zephyr"]
    return [
        RANDOM.randbytes(32).hex(),
        RANDOM.randbytes(16).hex(),
        base64.b64encode(RANDOM.randbytes(32)).decode(),
        base64.urlsafe_b64encode(RANDOM.randbytes(24)).decode(),
        " ".join(RANDOM.sample(words, 6)),
    ]


def test_random_ones_are_strong_and_no_variations_of_each_other() -> None:
    """None of some thousand random secrets is rejected."""
    for _ in range(500):
        secrets = made()
        assert [weakness(secret) for secret in secrets] == [None] * len(secrets)
        assert not any(is_variation(secrets[0], other) for other in secrets[1:])


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("1234567" * 9, "needs at least 8 different characters"),
        ("0123456789abcdef" * 4, "repeats itself"),
        ("correct horse " * 5, "repeats itself"),
        ("your-256-bit-secret-your-512-bit-key", "reads like an example"),
        ("a-string-secret-at-least-256-bits-long", "reads like an example"),
        ("CHANGE-ME-before-you-go-to-the-cloud", "reads like an example"),
        ("my jwt SECRET key for the mastery engine", "reads like an example"),
        ("this is the best password of all of them", "reads like an example"),
    ],
)
def test_what_is_no_secret(secret: str, reason: str) -> None:
    """The reason is given."""
    said = weakness(secret)
    assert said is not None
    assert said.startswith(reason)


SECRET = RANDOM.randbytes(32).hex()


@pytest.mark.parametrize(
    "other",
    [SECRET, f"{SECRET}!", f"x-{SECRET.upper()}", SECRET[:40], SECRET[20:] + "0" * 20, f" {SECRET} "],
    ids=["the same", "with an end", "in capitals", "shortened", "with another beginning", "with spaces"],
)
def test_variations(other: str) -> None:
    """Text before or after it, a part of it, and other case are variations."""
    assert is_variation(SECRET, other)
    assert is_variation(other, SECRET)


def test_short_passwords_are_no_variations_by_chance() -> None:
    """Two common letters prove nothing."""
    assert not is_variation("pass", "correct passage of a text that is long")
