"""Schemas of requests and answers about batches."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.fields import OPENAPI_IDENTIFIER, Day, Flag, Fraction, IdentifierField, Limit, PatternField, RawList
from api.mastery import Calculation, ComponentScores, ComponentWeights
from api.predictions import IntervalAnswer, ReasonAnswer, WarningAnswer
from app.batches.batch import MAX_STUDENTS, BatchStatus, CallbackState, Kind, Priority
from app.batches.receiver import MAX_URL, URL_RULE, place
from app.mastery.formula import Level

MAX_PAGE = 500  # results of 0.7 KB each
FAILED = "failed"
_ID = {"type": "string", "pattern": OPENAPI_IDENTIFIER}
_GIVEN = {name: {"type": ["number", "null"], "minimum": 0, "maximum": 1} for name in ComponentScores().fields}
_STUDENT = {
    "type": "object",
    "properties": {
        "student_id": _ID,
        "components": {"type": ["object", "null"], "properties": _GIVEN, "additionalProperties": False},
    },
    "required": ["student_id"],
    "additionalProperties": False,
}


class CallbackUrl(fields.String):
    """Where to announce the end of a batch."""

    def __init__(self) -> None:
        described = {
            "format": "uri",
            "pattern": "^https://",
            "maxLength": MAX_URL,
            "example": "https://lms.example/batch-ended",
        }
        text = "Gets one signed message when the batch has ended; see docs/api.md"
        super().__init__(validate=_is_callback_url, metadata={"description": text, **described})


def _is_callback_url(url: str) -> None:
    if place(url) is None:
        raise ValidationError(f"M{URL_RULE[1:]}.")


class BatchBody(Schema):
    """For whom, exactly one of students, cohort_id and all; and what to compute."""

    students = RawList(
        fields.Raw(metadata={"oneOf": [_ID, _STUDENT]}),
        validate=validate.Length(1, MAX_STUDENTS),
        metadata={"description": "Ids, or objects with the components to use instead of the student's facts"},
    )
    cohort_id = IdentifierField()
    all = Flag(validate=validate.Equal(True), metadata={"description": "true: all students of the tenant; admins only"})
    compute = fields.String(required=True, validate=validate.OneOf(list(Kind)), metadata={"example": Kind.MASTERY.value})
    as_of = Day(metadata={"description": "An earlier day that is retained; today unless given"})
    weights = fields.Nested(ComponentWeights)
    priority = fields.String(load_default=Priority.NORMAL.value, validate=validate.OneOf(list(Priority)))
    batch_id = IdentifierField()
    callback_url = CallbackUrl()

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        names = ("students", "cohort_id", "all")
        if sum(name in data for name in names) != 1:
            reasons = ["Give one of students, cohort_id and all."]
            raise ValidationError(dict.fromkeys(names, reasons))


class RejectedStudent(Schema):
    index = fields.Integer(required=True, metadata={"description": "Position in the request, from 0"})
    reason = fields.String(required=True)


class _AnyBatch(Schema):
    batch_id = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(list(BatchStatus)))
    priority = fields.String(required=True, validate=validate.OneOf(list(Priority)))
    total = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Number of students; null until a task has found them"}
    )


class AcceptedBatch(_AnyBatch):
    rejected = fields.List(fields.Nested(RejectedStudent), required=True)


class BatchSummary(Schema):
    """Of the scores of all students that succeeded; of predictions, of the predicted ones."""

    mean = Fraction(required=True)
    median = Fraction(required=True)
    standard_deviation = Fraction(required=True, metadata={"description": "Of the population"})
    lower_quartile = Fraction(required=True)
    upper_quartile = Fraction(required=True)
    levels = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "Number of students by level", "example": dict.fromkeys(map(str, Level), 200)},
    )


class BatchState(_AnyBatch):
    compute = fields.String(required=True, validate=validate.OneOf(list(Kind)))
    as_of = fields.Date(required=True)
    cohort_id = fields.String(required=True, allow_none=True)
    all = fields.Boolean(required=True)
    weights = fields.Nested(ComponentWeights, required=True)
    succeeded = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    erased = fields.Integer(
        required=True, metadata={"description": "Students of total who were erased; they are in no results and no summary"}
    )
    progress = Fraction(required=True, allow_none=True, metadata={"description": "The share that is computed"})
    created_at = fields.DateTime(required=True)
    started_at = fields.DateTime(required=True, allow_none=True)
    finished_at = fields.DateTime(required=True, allow_none=True)
    students_per_second = fields.Float(required=True, allow_none=True, metadata={"description": "Since the start"})
    seconds_left = fields.Float(required=True, allow_none=True, metadata={"description": "Estimated from that rate"})
    reason = fields.String(required=True, metadata={"description": "Why it ended, if not because all is computed"})
    summary = fields.Nested(BatchSummary, required=True, allow_none=True)
    callback = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(list(CallbackState)),
        metadata={"description": "Whether the end was announced at callback_url; null without one"},
    )


class BatchPage(Schema):
    batches = fields.List(fields.Nested(BatchState), required=True, metadata={"description": "The newest first"})
    next = fields.String(required=True, allow_none=True, metadata={"description": "The cursor of older ones; null at the end"})


class BatchResult(Calculation):
    """What the student's query or prediction answers; or only the id and the error."""

    predicted_score = Fraction(metadata={"description": "Of a prediction, as are the fields up to warnings"})
    interval = fields.Nested(IntervalAnswer)
    confidence = Fraction()
    slope_per_day = fields.Float()
    intervention_needed = fields.Boolean()
    reasons = fields.List(fields.Nested(ReasonAnswer))
    current_score = Fraction()
    model = fields.String()
    model_version = fields.String()
    days_of_history = fields.Integer()
    stale = fields.Boolean()
    warnings = fields.List(fields.Nested(WarningAnswer))
    score = Fraction()
    level = fields.String(validate=validate.OneOf(list(Level)))
    coverage = Fraction()
    error = fields.String(metadata={"description": "Why there is no result"})


class ResultsPage(Schema):
    results = fields.List(fields.Nested(BatchResult), required=True, metadata={"description": "In the order of the batch"})
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The cursor of the next page; null at the end. A page may be empty and still have one: of a batch "
            "that runs, ask again with it later"
        },
    )


class _Number(PatternField):
    def __init__(self) -> None:
        super().__init__("^[0-9]{1,15}$", "Must be what was given as next.", description="`next` of the answer before")


class BatchesQuery(Schema):
    limit = Limit(default=50, most=100)
    cursor = _Number()


class ResultsQuery(Schema):
    limit = Limit(default=100, most=MAX_PAGE)
    cursor = _Number()
    which = fields.String(
        data_key="only",
        validate=validate.OneOf([FAILED]),
        metadata={"description": "`failed`: only students without a result"},
    )
