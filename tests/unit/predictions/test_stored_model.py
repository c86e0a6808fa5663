"""Models are stored as data, and checked when they are read."""

import zlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from app.predictions.boosted_trees import BoostedTrees, Tree
from app.predictions.forecast_errors import BASE, LAST_VALUE, LEARNED
from app.predictions.stored_model import (
    FORMAT,
    LARGEST_CONTENT,
    BackTest,
    ModelUnusable,
    decode_content,
    decode_summary,
    encode_content,
    encode_summary,
    require_usable,
    version_of,
)
from tests.conftest import NOW
from tests.stored_models import CONTENT, RISK, RISK_TESTED, TESTED, summary

SUMMARY = summary("v")


def test_what_is_stored_is_read() -> None:
    """Unchanged."""
    assert decode_summary(encode_summary(SUMMARY)) == SUMMARY
    assert decode_content(encode_content(CONTENT)) == CONTENT


def test_what_has_a_risk_is_read() -> None:
    """Unchanged; and so is a model of a version of the engine that knew no risk."""
    with_risk = summary("v", risk=RISK_TESTED)
    assert decode_summary(encode_summary(with_risk)) == with_risk
    content = msgspec.structs.replace(CONTENT, risk=RISK)
    assert decode_content(encode_content(content)) == content
    earlier = {name: value for name, value in msgspec.json.decode(encode_summary(SUMMARY)).items() if name != "risk"}
    assert decode_summary(msgspec.json.encode(earlier)) == SUMMARY
    earlier = {name: value for name, value in msgspec.to_builtins(CONTENT).items() if name != "risk"}
    assert decode_content(zlib.compress(msgspec.json.encode(earlier))) == CONTENT


def test_later_versions_come_later() -> None:
    """In the alphabet, so that the oldest are the first to go; a name is an id."""
    moments = [NOW + timedelta(seconds=seconds) for seconds in (0, 1, 3_600, 86_400 * 80, 86_400 * 400)]
    versions = [version_of(moment) for moment in moments]
    assert versions == sorted(set(versions))
    assert versions[0] == "20261028T120000Z"


@pytest.mark.parametrize(
    "changes",
    [
        {"version": None},
        {"trained_at": "yesterday"},
        {"overall": {"errors": {}, "answerer": LEARNED}},
        {"overall": {"errors": {LAST_VALUE: [1, 1, 1, 1]}, "answerer": LEARNED}},
        {"cohorts": {"c-1": msgspec.to_builtins(TESTED) | {"answerer": "a new method"}}},
        {"overall": msgspec.to_builtins(TESTED) | {"answerer": LAST_VALUE}},  # with which the others are compared
    ],
)
def test_a_damaged_summary(changes: dict[str, Any]) -> None:
    """It is refused, whatever is wrong with it."""
    values = msgspec.json.decode(encode_summary(SUMMARY)) | changes
    with pytest.raises(ModelUnusable, match="the record of a model"):
        decode_summary(msgspec.json.encode(values))


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"null"])
def test_what_is_no_summary(text: bytes) -> None:
    """Nor JSON of another kind."""
    with pytest.raises(ModelUnusable):
        decode_summary(text)


@pytest.mark.parametrize("changes", [{"format": FORMAT - 1}, {"format": FORMAT + 1}, {"features": ("mastery",)}])
def test_a_model_of_another_version(changes: dict[str, Any]) -> None:
    """It is not used, and says so."""
    require_usable(SUMMARY)
    with pytest.raises(ModelUnusable, match="model v was made by another version of the engine"):
        require_usable(summary("v", **changes))


def content_with(tree: dict[str, Any]) -> bytes:
    """The content with another tree for the upper ends."""
    columns: dict[str, Any] = {
        "feature": [0, 0, 0],
        "value": [0.5, 0.1, -0.1],
        "left": [1, 0, 0],
        "right": [2, 0, 0],
        "nan_left": [1, 0, 0],
    }
    trees = BoostedTrees(0.0, [Tree(**(columns | tree))])
    return encode_content(msgspec.structs.replace(CONTENT, learned=msgspec.structs.replace(CONTENT.learned, upper=trees)))


@pytest.mark.parametrize(
    "tree",
    [
        {"left": [0, 0, 0], "feature": [999, 0, 0]},
        {"feature": [-1, 0, 0]},
        {"left": [3, 0, 0]},
        {"right": [0, 0, 0]},
        {"left": [1, 1, 0], "right": [2, 2, 0]},  # a step to itself
        {"left": [1, -1, 0]},
        {"value": []},
        {"value": [0.5]},
        {"nan_left": [1]},
    ],
)
def test_damaged_trees(tree: dict[str, Any]) -> None:
    """No tree leads nowhere, in circles, or to a feature that does not exist."""
    assert decode_content(content_with({})) == CONTENT
    with pytest.raises(ModelUnusable, match="the trees of a model are damaged"):
        decode_content(content_with(tree))


@pytest.mark.parametrize("trees", [[], [Tree([99_999, 0, 0], [0.5, 1, -1], [1, 0, 0], [2, 0, 0], [0, 0, 0])]])
def test_damaged_trees_of_risk(trees: list[Tree]) -> None:
    """They are checked like those of forecasts."""
    damaged = msgspec.structs.replace(RISK, log_odds=BoostedTrees(0.0, trees))
    with pytest.raises(ModelUnusable, match="the trees of a model are damaged"):
        decode_content(encode_content(msgspec.structs.replace(CONTENT, risk=damaged)))


def test_no_trees() -> None:
    """They would answer nothing."""
    nothing = msgspec.structs.replace(CONTENT.learned, median=BoostedTrees(0.0, []))
    with pytest.raises(ModelUnusable):
        decode_content(encode_content(msgspec.structs.replace(CONTENT, learned=nothing)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04K\x01.",  # a pickle
        zlib.compress(b"{}"),
        encode_content(CONTENT)[:-8],
        zlib.compress(b" " * (LARGEST_CONTENT + 1)),
        zlib.compress(b'{"learned":' + b"[" * 100_000),
    ],
    ids=["nothing", "a pickle", "another object", "a part", "too large", "nested"],
)
def test_what_is_no_content(content: bytes) -> None:
    """It is refused, and takes bounded memory."""
    with pytest.raises(ModelUnusable, match="the content of a model is damaged"):
        decode_content(content)


def test_who_answers() -> None:
    """What is better for the cohort; the tenant's for others. The learned model may answer for some, for none, or for all."""
    base = BackTest(TESTED.errors, BASE)
    mixed = summary("v", overall=base, cohorts={"c-1": TESTED, "c-2": base})
    assert [mixed.answerer(cohort) for cohort in ("c-1", "c-2", "c-3", None)] == [LEARNED, BASE, BASE, BASE]
    found = [mixed, SUMMARY, summary("v", cohorts={"c-2": base}), summary("v", overall=base, cohorts={"c-2": base})]
    assert [each.learned_answers for each in found] == [True, True, True, False]


def test_a_risk_that_answers() -> None:
    """Only if it was better."""
    worse = msgspec.structs.replace(RISK_TESTED, answers=False)
    assert [summary("v", risk=risk).risk_answers for risk in (RISK_TESTED, worse, None)] == [True, False, False]
