"""Learning events as JSON Schema, with examples, for docs/asyncapi.json and /openapi.json.

The descriptions here complement those of structs and fields in the code.
"""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from app.events.event import (
    Activity,
    ActivityEvent,
    CompletionEvent,
    Event,
    ExerciseCompletion,
    QualityAssessment,
    QualityEvent,
    QuizEvent,
    QuizPerformance,
)

SCHEMAS = "#/components/schemas/"  # in both documents
EXAMPLE_TIMESTAMP = "2026-10-28T22:54:26Z"

# By struct, by "struct.field", or by field.
EVENT_DESCRIPTIONS: Mapping[str, str] = {
    "CompletionEvent": "Progress in exercises. Only a student's latest such event counts, by timestamp.",
    "QuizEvent": "A quiz was answered.",
    "QualityEvent": "A submission was assessed.",
    "ActivityEvent": "The student was active on this day (UTC).",
    "event_id": "UUID of the event; a repeated id counts once per student",
    "event_type": "The type of the event",
    "timestamp": "When it happened: ISO 8601 with an offset (as in RFC 3339) or epoch milliseconds; at most 5 min ahead",
    "student_id": "Unique within the tenant",
    "tenant_id": "The student's tenant; tenants are isolated from each other",
    "cohort_id": "The student's cohort; the latest event with a cohort determines it",
    "source": "The producer; not used",
    "version": "The version of the producer's contract; not used",
    "ExerciseCompletion": "`completed_exercises` must not exceed `total_exercises`.",
    "exercise_id": "Not used",
    "total_exercises": "Number of exercises",
    "completed_exercises": "Number of completed exercises; at most `total_exercises`",
    "QuizPerformance": "`correct_answers` must not exceed `total_questions`.",
    "quiz_id": "Not used",
    "total_questions": "Number of questions",
    "correct_answers": "Number of correct answers; at most `total_questions`",
    "QualityAssessment": "The result is the mean of the given scores.",
    "submission_id": "Not used",
    "code_quality_score": "0 to 1",
    "correctness_score": "0 to 1",
    "efficiency_score": "0 to 1",
    "peer_review_score": "0 to 1; null without a review",
}

_SENDER = {
    "timestamp": EXAMPLE_TIMESTAMP,
    "student_id": "s-604916",
    "tenant_id": "socsci",
    "cohort_id": "BBB-2013J",
    "version": "1.0",
}

# One example per event type.
EVENT_EXAMPLES: tuple[Event, ...] = (
    CompletionEvent(
        **_SENDER,
        event_id=UUID("0c9e4b52-7a16-4f0e-9a53-8f3d1c2b6e01"),
        source="exercise-service",
        data=ExerciseCompletion(exercise_id="e1", total_exercises=5, completed_exercises=4),
    ),
    QuizEvent(
        **_SENDER,
        event_id=UUID("9b2f7c5e-3d0f-4c55-8a39-6f6f0d0b8a11"),
        source="quiz-service",
        data=QuizPerformance(quiz_id="q1", total_questions=10, correct_answers=8),
    ),
    QualityEvent(
        **_SENDER,
        event_id=UUID("5d1a8e37-64c2-4b9f-8e70-2a9b3c4d5e21"),
        source="review-service",
        data=QualityAssessment(
            submission_id="w1", code_quality_score=0.7, correctness_score=0.85, efficiency_score=0.6, peer_review_score=0.8
        ),
    ),
    ActivityEvent(
        **_SENDER,
        event_id=UUID("e7f06c14-92bd-4d3a-b1c8-7d5e6f708931"),
        source="tutor",
        data=Activity(),
    ),
)


def json_schemas(structs: Iterable[type[Struct]], descriptions: Mapping[str, str] = EVENT_DESCRIPTIONS) -> dict[str, Any]:
    """The schemas of structs and the types they refer to, by name. Raises KeyError for a missing description."""
    _, generated = msgspec.json.schema_components(structs, ref_template=SCHEMAS + "{name}")
    # ECMA 262, which JSON Schema uses, has no \Z, and its $ does not match before a trailing newline.
    schemas: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(generated).replace(rb"\\Z", b"$"))
    for name, schema in schemas.items():
        schema["description"] = inspect.cleandoc(schema.get("description") or descriptions[name])
        for field, its_schema in schema.get("properties", {}).items():
            if "$ref" in its_schema:  # must be the only key; the referenced schema has a description
                schema["properties"][field] = {"$ref": its_schema["$ref"]}
            elif "description" not in its_schema:
                its_schema["description"] = descriptions.get(f"{name}.{field}") or descriptions[field]
    return schemas
