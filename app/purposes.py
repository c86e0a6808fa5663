"""The purposes for which students decide about consent. The settings refer to them by name."""

from enum import StrEnum


class Purpose(StrEnum):
    """What a student's data may be used for, beyond their own mastery."""

    PREDICTIONS = "predictions"
    RECOMMENDATIONS = "recommendations"
    COHORT_STATISTICS = "cohort_statistics"
