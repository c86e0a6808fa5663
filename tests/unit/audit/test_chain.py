"""Seals, anchors and heads: those made by the engine are accepted, and no others."""

import hmac

import pytest

from app.audit.chain import ENTRY, GENESIS, SEAL_BYTES, Anchor, Chain, Head, derive_keys, parse_head
from app.audit.entry import decode
from tests.unit.audit.records import KEYS, TRAIL, fields, query, sealed

CHAIN = Chain(KEYS, TRAIL)


def test_entries_are_numbered_and_linked() -> None:
    """Entries continue the head; the first of all links to zeros."""
    first, second = sealed(2)
    assert [each.entry.sequence for each in (first, second)] == [1, 2]
    assert [first.previous, second.previous] == [GENESIS, first.mac]
    (third,) = sealed(1, after=second.head)
    assert (third.entry.sequence, third.previous) == (3, second.mac)


def test_the_seal_is_the_hmac_that_the_documentation_says() -> None:
    """An auditor can compute the seal without this code."""
    chain_key = hmac.digest(b"a secret that only the engine has", b"mastery audit chain\x01", "sha256")
    first, second = sealed(2)
    assert second.mac == hmac.digest(chain_key, first.mac + b"t-1\0" + second.text, "sha256")


def test_the_anchors_seal_has_a_key_of_its_own() -> None:
    """No entry, whatever its content, has the seal of an anchor."""
    anchor_key = hmac.digest(b"a secret that only the engine has", b"mastery audit anchor\x01", "sha256")
    removed = sealed(3)[-1].head
    assert CHAIN.anchor_fields(removed)[b"seal"] == hmac.digest(anchor_key, b"t-1\x003:" + removed.mac, "sha256")


def test_what_was_sealed_opens_again() -> None:
    """A sealed entry is accepted for its own trail and key only."""
    (each,) = sealed(1)
    assert CHAIN.open(fields(each)) == each
    assert Chain(KEYS, "t-2").open(fields(each)) is None
    assert Chain(derive_keys("another"), TRAIL).open(fields(each)) is None


def test_what_was_sealed_and_is_no_entry_does_not_open() -> None:
    """A later version of the engine may have written it, so its content is not guessed."""
    (each,) = sealed(1)
    text = each.text.replace(b'"api"', b'"owl"')
    assert decode(text) is None
    made = fields(each) | {ENTRY: text, b"mac": CHAIN._mac(KEYS, each.previous, text)}
    assert CHAIN.open(made) is None


def test_keys_differ_by_purpose_and_secret() -> None:
    """A key derived for one purpose or secret is useless for another."""
    assert len({*derive_keys("a"), *derive_keys("b")}) == 8


def test_an_anchor_is_recognised() -> None:
    """An anchor made for this trail is accepted; no anchor at all means the first entry is expected."""
    removed = sealed(3)[-1].head
    noted = CHAIN.anchor_fields(removed)
    assert CHAIN.open_anchor(noted) == Anchor(removed)
    assert CHAIN.open_anchor({}) == Anchor(Head())


@pytest.mark.parametrize(
    "change",
    [
        {b"sequence": b"2"},
        {b"sequence": b"x"},
        {b"mac": bytes(SEAL_BYTES)},
        {b"mac": b""},
        {b"seal": bytes(SEAL_BYTES)},
        {b"seal": b""},
    ],
)
def test_a_forged_anchor_is_not(change: dict[bytes, bytes]) -> None:
    """An anchor is rejected if any field was altered or omitted, or if it was made for another trail."""
    noted = CHAIN.anchor_fields(sealed(3)[-1].head)
    assert CHAIN.open_anchor(noted | change) is None
    assert CHAIN.open_anchor({name: value for name, value in noted.items() if name not in change}) is None
    assert Chain(KEYS, "t-2").open_anchor(noted) is None


def test_what_the_former_key_sealed_opens_too() -> None:
    """The previous key is accepted while two are set; nothing new is sealed with it."""
    current = derive_keys("the key that came after it")
    both = Chain(current, TRAIL, KEYS)
    (old,), noted = sealed(1), CHAIN.anchor_fields(sealed(3)[-1].head)
    assert both.open(fields(old)) == old._replace(by_previous=True)
    assert both.open_anchor(noted) == Anchor(sealed(3)[-1].head, by_previous=True)
    (new,) = both.seal(old.head, query())
    assert (both.open(fields(new)), CHAIN.open(fields(new)), new.by_previous) == (new, None, False)
    assert Chain(current, TRAIL).open_anchor(both.anchor_fields(new.head)) == Anchor(new.head)
    assert Chain(current, TRAIL, derive_keys("another")).open(fields(old)) is None


def test_an_entrys_seal_is_no_anchors() -> None:
    """Knowing the seals of all entries is not enough to make an anchor."""
    last = sealed(3)[-1]
    assert CHAIN.open_anchor(CHAIN.anchor_fields(last.head) | {b"seal": last.mac}) is None


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ((None, None), Head()),
        ((b"12", b"m" * 32), Head(12, b"m" * 32)),
        ((b"12", None), None),
        ((None, b"m" * 32), None),
        ((b"12", b"m" * 31), None),
        ((b"-1", b"m" * 32), None),
        ((b"", b"m" * 32), None),
        ((b"1e3", b"m" * 32), None),
        ((b"9" * 16, b"m" * 32), None),
        ((b"0", b"m" * 32), None),  # a trail without entries has no head at all
        ((b"007", b"m" * 32), None),
    ],
)
def test_heads_are_read_strictly(stored: tuple[bytes | None, bytes | None], expected: Head | None) -> None:
    """Any value that is not a valid head is rejected."""
    assert parse_head(*stored) == expected


def test_a_head_is_written_as_expect_takes_it() -> None:
    """A head is a number, a colon and hexadecimal digits."""
    assert str(Head(12, b"\xab" * 32)) == "12:" + "ab" * 32
