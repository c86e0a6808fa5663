"""The keys about dead letters: a part of ``keys.py``, which says more."""

from app.storage.key_kinds import kind


class DeadLetterKeys:
    """The keys about the dead letters of one engine."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @kind("stream", "dead letters to be delivered, encrypted", personal=True)
    def letters(self) -> str:
        return f"{self._prefix}:{{.events}}:letters"

    @kind("string", "the key that encrypts a student's dead letters; kept for the retention after its last use", personal=True)
    def letter_key(self, tenant: str, pseudonym: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:letter-key:{pseudonym}"

    @kind("string", "the key that encrypts a day's dead letters in which no student can be read; kept for the retention")
    def letter_key_of_day(self, day: str) -> str:
        return f"{self._prefix}:{{.events}}:letter-day-key:{day}"

    @kind("hash", "end offsets of `mastery.dlq` after the last delivered dead letter")
    def letters_delivered(self, log: str = "") -> str:
        """The key for one log (cluster, topic and topic id); without ``log``, the key of a version with a single log."""
        return f"{self._prefix}:{{.events}}:letters-delivered" + (f":{log}" if log else "")

    @kind("hash", "which dead letters an operator replayed or purged")
    def handled_letters(self, log: str) -> str:
        return f"{self._prefix}:{{.events}}:handled-letters:{log}"
