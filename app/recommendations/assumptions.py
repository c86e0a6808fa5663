"""Says in words what recommendations assume about the work of learners."""

from collections.abc import Collection, Iterator

from app.mastery.formula import Components
from app.recommendations.efforts import COMPLETION, EFFORTS, FIRST_EXERCISES
from app.recommendations.wording import Texts


def assumptions(components: Collection[str], parts: Components, texts: Texts) -> Iterator[str]:
    """Say what is assumed about the work for these components; ``parts`` are the student's present ones.

    Yields:
        A text about each component, in the formula's order.
    """
    for component in (each for each in Components._fields if each in components):
        effort = EFFORTS[component]
        percent = 100 * effort.good // (effort.each or effort.good)
        yield texts[f"assumption.{component}"].format(minutes=effort.minutes, amount=effort.amount, percent=percent)
        if component == COMPLETION and parts.completion is None:
            yield texts["assumption.first_exercises"].format(amount=FIRST_EXERCISES.total)
