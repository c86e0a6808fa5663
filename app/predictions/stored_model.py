"""A learned model as it is stored: data that JSON can have, never code. Pure.

A summary says how the model was made and tested, and for whom it answers. The content, a thousand times as large, is what it
answers with.
"""

import zlib
from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec import Struct

from app.clock import Day
from app.errors import EngineError
from app.predictions.base_model import base_forecasts
from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.daily_history import Floats
from app.predictions.features import HORIZON_DAYS, feature_names
from app.predictions.forecast_errors import BASE, LEARNED, METHODS, ForecastErrors
from app.predictions.learned_model import Forecasts, LearnedModel
from app.predictions.origins import Origins
from app.predictions.past_errors import Quantiles
from app.predictions.risk import RiskModel
from app.predictions.risk_gate import RiskTest

# With each change that an older version cannot read.
FORMAT = 2
# The other of the methods is what these are compared with (``gate.py``).
ANSWERERS = (BASE, LEARNED)
# Ten times the content of a model, 2 MB: more is not one.
LARGEST_CONTENT = 20_000_000


class ModelUnusable(EngineError):
    """A stored model cannot answer; the message says why."""


class BackTest(Struct, frozen=True):
    """A back-test: the errors by method, and which of the ``ANSWERERS`` answers."""

    errors: dict[str, ForecastErrors]
    answerer: str


class ModelSummary(Struct, frozen=True, kw_only=True):
    """How a model was made and tested, and for whom it answers.

    Attributes:
        format: of the record.
        version: its name, unique in the tenant.
        tenant: from whose facts it was made, and for whose students it answers.
        trained_at: when, UTC.
        last_day: the latest day that it knew.
        students: how many students' facts were read, all with their consent to predictions.
        origins: how many students and days it was trained with.
        features: the names of the features of the trees, in their order.
        overall: the back-test on all students.
        cohorts: the back-test on each cohort that had enough forecasts.
        risk: the back-test of the learned risk; None if there was too little to learn or to test it.
    """

    format: int
    version: str
    tenant: str
    trained_at: datetime
    last_day: Day
    students: int
    origins: int
    features: tuple[str, ...]
    overall: BackTest
    cohorts: dict[str, BackTest]
    risk: RiskTest | None = None

    def answerer(self, cohort: str | None) -> str:
        """The method that answers for a cohort's students; the tenant's, if the cohort was not tested."""
        tested = self.cohorts.get(cohort) if cohort else None
        return (tested or self.overall).answerer

    @property
    def learned_answers(self) -> bool:
        """Whether the learned model answers for anybody; else the base model does for all."""
        return any(tested.answerer == LEARNED for tested in (self.overall, *self.cohorts.values()))

    @property
    def risk_answers(self) -> bool:
        """Whether the learned risk answers; else the table of ``base_risk.py`` does."""
        return self.risk is not None and self.risk.answers


class ModelContent(Struct, frozen=True):
    """What a model answers with: trees, past errors of "stays as it is" and of the base model for their intervals, the risk."""

    learned: LearnedModel
    last_value: Quantiles
    base: Quantiles
    risk: RiskModel | None = None

    def forecast(self, method: str, of: Origins) -> Forecasts:
        """Forecast the score of each origin by one of the ``METHODS``, of which those in ``ANSWERERS`` answer."""
        if method == LEARNED:
            return self.learned.forecast(of)
        if method == BASE:
            return self.base.around(base_points(of), of.group)
        return self.last_value.around(of.score, of.group)


def base_points(of: Origins) -> Floats:
    """The base model's forecast of each origin."""
    return base_forecasts(of.carried[:, None], of.slope, [HORIZON_DAYS])[:, 0]


_summary = msgspec.json.Decoder(ModelSummary)
_content = msgspec.json.Decoder(ModelContent)


def version_of(moment: datetime) -> str:
    """The name of a model that was trained at this moment; of two, that of the later one is the later in the alphabet."""
    return f"{moment:%Y%m%dT%H%M%SZ}"


def encode_summary(summary: ModelSummary) -> bytes:
    """The summary as JSON."""
    return msgspec.json.encode(summary)


def decode_summary(encoded: bytes) -> ModelSummary:
    """Decode a summary.

    Returns:
        The summary.

    Raises:
        ModelUnusable: It is none.
    """
    try:
        summary = _summary.decode(encoded)
    except (msgspec.DecodeError, RecursionError):
        raise ModelUnusable("the record of a model is damaged") from None
    if not all(
        tested.answerer in ANSWERERS and tested.errors.keys() == set(METHODS)
        for tested in (summary.overall, *summary.cohorts.values())
    ):
        raise ModelUnusable("the record of a model names an unknown method")
    return summary


def require_usable(summary: ModelSummary) -> None:
    """Check that this version of the engine can answer with a model.

    Raises:
        ModelUnusable: Another version of the engine made it.
    """
    if summary.format != FORMAT or summary.features != feature_names():
        raise ModelUnusable(f"model {summary.version} was made by another version of the engine")


def encode_content(content: ModelContent) -> bytes:
    """The content as JSON, compressed."""
    return zlib.compress(msgspec.json.encode(content))


def decode_content(encoded: bytes) -> ModelContent:
    """Decode a content, and check its trees.

    Returns:
        The content.

    Raises:
        ModelUnusable: It is none.
    """
    try:
        content = _content.decode(zlib.decompressobj().decompress(encoded, LARGEST_CONTENT))
    except (zlib.error, msgspec.DecodeError, RecursionError):
        raise ModelUnusable("the content of a model is damaged") from None
    learned, risk = content.learned, content.risk
    parts = [(trees, learned.features) for trees in (learned.median, learned.lower, learned.upper)]
    parts += [(risk.log_odds, risk.features)] if risk else []
    if not all(_is_sound(trees, len(features)) for trees, features in parts):
        raise ModelUnusable("the trees of a model are damaged")
    return content


def _is_sound(trees: BoostedTrees, features: int) -> bool:
    """Whether there are trees, and each step leads to a later node of the same tree and looks at a feature that exists."""
    return bool(trees.trees) and all(_is_sound_tree(tree, features) for tree in trees.trees)


def _is_sound_tree(tree: Tree, features: int) -> bool:
    nodes = len(tree.value)
    columns: Iterable[list[int]] = (tree.feature, tree.left, tree.right, tree.nan_left)
    if not nodes or any(len(column) != nodes for column in columns):
        return False
    steps = zip(range(nodes), tree.feature, tree.left, tree.right, strict=True)
    return all(
        0 <= feature < features and (left == 0 or (node < left < nodes and node < right < nodes))
        for node, feature, left, right in steps
    )
