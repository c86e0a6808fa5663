"""Decrypts the payloads of dead letters, with the keys that are in Redis now."""

from collections.abc import Iterable, Iterator

from app.events.letter_keys import LetterKeys
from app.events.sealed_payload import unseal
from app.storage.scripts import slices
from consumers.dead_letters.stored_letter import StoredDeadLetter

LETTERS_PER_CALL = 50  # dead letters decrypted with one read of keys: up to 15 MB in memory


def open_letters(letters: Iterable[StoredDeadLetter], keys: LetterKeys) -> Iterator[StoredDeadLetter]:
    """Decrypt dead letters; those of earlier versions, and unreadable ones, stay as they are. Raises DependencyUnavailable.

    A key may be destroyed at any moment, so the keys are read anew for each few dead letters.

    Yields:
        The same dead letters, in order, with ``opened``.
    """
    for some in slices(letters, LETTERS_PER_CALL):
        found = keys.find(each.sealed.key.name if each.sealed else None for each in some)
        for letter, key in zip(some, found, strict=True):
            yield letter._replace(opened=unseal(letter.sealed, key) if letter.sealed else None)
