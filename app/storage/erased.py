"""What erasing students from a store gives, whichever store it is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Erased:
    """The result of one call that erases students from a store. Such a call may be repeated at any time.

    Attributes:
        count: how many things this call erased: records, entries, rows; what exactly, the store says.
        is_done: whether nothing of the students is left, and no work in progress can write anything of them. If not, the call
            is repeated after a moment.
    """

    count: int
    is_done: bool = True


@dataclass(frozen=True)
class ErasedFacts:
    """The result of erasing the facts of students.

    Attributes:
        count: how many students had facts that were erased.
        returned: the students who have only facts from after the request; these stay.
    """

    count: int
    returned: frozenset[str] = frozenset()
