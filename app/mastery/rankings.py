"""What cohorts' statistics are made of: a ranking of the students by each metric, of those who allow ``cohort_statistics``."""

from enum import StrEnum

from app.mastery.formula import Components


class Metric(StrEnum):
    """What students are ranked by: mastery, or one of its components."""

    MASTERY = "mastery"
    COMPLETION = "completion"
    QUIZ = "quiz"
    QUALITY = "quality"
    CONSISTENCY = "consistency"


COMPONENT_METRICS = tuple(Metric(name) for name in Components._fields)
