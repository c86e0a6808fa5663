"""Example requests for the OpenAPI document: ``/docs`` shows them and sends the first one on *Execute*.

They name the first student of the demo's classroom, so they succeed with the demo's token.
"""

from typing import Any, TypeAlias

from msgspec import to_builtins

from app.events.event_documentation import EVENT_EXAMPLES
from app.mastery.formula import DEFAULT_WEIGHTS

Examples: TypeAlias = dict[str, dict[str, Any]]

# Days of example requests; the document has others in their place, so that they are retained whenever it is read.
EXAMPLE_START, EXAMPLE_SINCE, EXAMPLE_END = "2026-09-30", "2026-10-22", "2026-10-29"

STUDENT, COHORT, OTHER_COHORT = "student-001", "algebra-1", "algebra-2"
_OWN = {"student_id": STUDENT, "cohort_id": COHORT}

# The schema's examples, for this student and without the tenant, which the token has.
EVENTS = [{name: value for name, value in to_builtins(each).items() if name != "tenant_id"} | _OWN for each in EVENT_EXAMPLES]

QUERY: Examples = {
    "today": {"summary": "How a student stands today", "value": {"student_id": STUDENT}},
    "short": {"summary": "Without components and breakdown", "value": {"student_id": STUDENT, "include_components": False}},
}
CALCULATE: Examples = {
    "components": {
        "summary": "What these components would give; nothing is stored",
        "value": {
            "student_id": STUDENT,
            "components": {"completion": 0.8, "quiz": 0.75, "quality": 0.8, "consistency": 0.5},
            "weights": DEFAULT_WEIGHTS._asdict(),
        },
    },
    "facts": {"summary": "Recomputed from the student's facts by a task, and stored", "value": {"student_id": STUDENT}},
}
NEXT_WEEK: Examples = {
    "week": {"summary": "Where the student will be in a week", "value": {"student_id": STUDENT}},
}
TRAJECTORY: Examples = {
    "week": {"summary": "The last 30 and the next 7 days", "value": {"student_id": STUDENT}},
    "month": {"summary": "The next 30 days", "value": {"student_id": STUDENT, "days": 30}},
}
COMPARE: Examples = {
    "overall": {"summary": "A student's place in the own cohort", "value": {"student_id": STUDENT}},
    "components": {
        "summary": "The same by component",
        "value": {"student_id": STUDENT, "cohort_id": COHORT, "metric": "by_component"},
    },
}
RECOMMEND: Examples = {
    "all": {"summary": "What the student should do next", "value": {"student_id": STUDENT}},
    "filtered": {
        "summary": "The most important one about quizzes or exercises",
        "value": {"student_id": STUDENT, "components": ["completion", "quiz"], "limit": 1},
    },
}
LEARNING_PATH: Examples = {
    "next": {"summary": "The way to the next level, with an hour a day", "value": {"student_id": STUDENT}},
    "expert": {
        "summary": "The way to the highest level, with half an hour a day",
        "value": {"student_id": STUDENT, "target_level": "expert", "minutes_per_day": 30},
    },
}
_RANGE = {"student_id": STUDENT, "start_date": EXAMPLE_START, "end_date": EXAMPLE_END}
HISTORY: Examples = {
    "days": {"summary": "Each of the last 30 days", "value": _RANGE},
    "weeks": {"summary": "The weeks in which they lie", "value": {**_RANGE, "aggregation": "weekly"}},
    "months": {"summary": "The months in which they lie", "value": {**_RANGE, "aggregation": "monthly"}},
}
CHANGES: Examples = {
    "week": {"summary": "Why mastery is not what it was a week ago", "value": {"student_id": STUDENT, "since": EXAMPLE_SINCE}},
}
COMPARE_COHORTS: Examples = {
    "cohorts": {"summary": "Two cohorts", "value": {"cohort_a": COHORT, "cohort_b": OTHER_COHORT}},
}
INGEST: Examples = {
    "event": {"summary": "One event", "value": {"event": EVENTS[1]}},
    "events": {"summary": "One of each type", "value": {"events": EVENTS}},
}
REVOKE: Examples = {
    "token": {"summary": "Admins: the token with this id", "value": {"jti": "5d1c6c9e-5b43-4a35-9d5b-3f1a9c7f4a10"}},
    "subject": {"summary": "Admins: all tokens that this subject has had so far", "value": {"subject": "t-chen"}},
    "own": {"summary": "The token that this request is made with", "value": {}},
}
TASK_ID = "5d1c6c9e-5b43-4a35-9d5b-3f1a9c7f4a10"  # of no task: the answer is 404
BATCH: Examples = {
    "cohort": {"summary": "A cohort", "value": {"cohort_id": COHORT, "compute": "mastery"}},
    "students": {
        "summary": "Listed students, one of them with given components",
        "value": {
            "students": [STUDENT, {"student_id": "student-002", "components": {"quiz": 0.75, "consistency": 0.5}}],
            "compute": "mastery",
            "priority": "high",
        },
    },
    "all": {"summary": "Admins: all students, without haste", "value": {"all": True, "compute": "mastery", "priority": "low"}},
}
CONSENT: Examples = {
    "give": {"summary": "Allow two purposes", "value": {"predictions": True, "cohort_statistics": True}},
    "withdraw": {"summary": "Withdraw one; the others stay as they are", "value": {"recommendations": False}},
}
BATCH_ID = "nightly-2026-11-27"  # of no batch: the answer is 404
ERASED_STUDENT = "student-999"  # no student of the demo: an example erases nothing
