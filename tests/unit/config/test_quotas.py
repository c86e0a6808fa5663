"""A quota is a number, optionally with other numbers for some tenants."""

import pytest

from app.config.quotas import UNLIMITED, Quotas
from app.config.settings import load_settings
from app.errors import SettingsError


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("5", (5, 5)),
        ("5, a=7", (7, 5)),
        ("5, a=unlimited", (UNLIMITED, 5)),
        ("5,a=7, b=9", (7, 9)),
        ("100000, c=1", (100_000, 100_000)),
        ("unlimited, b=9", (UNLIMITED, 9)),
    ],
)
def test_each_tenant_has_its_own_or_the_general_one(setting: str, expected: tuple[int, int]) -> None:
    """A tenant has the value for its name, or else the default."""
    quotas = Quotas(load_settings({"MASTERY_QUOTA_STUDENTS": setting}).quota_students)
    assert expected == (quotas.of("a"), quotas.of("b"))


@pytest.mark.parametrize(
    "setting", ["", "0", "-1", "many", "a=5", "5, a", "5, a=0", "5, a=", "none", "5, a b=3", "5;a=3", "5, a=3\n", "1" * 13]
)
def test_what_is_no_quota(setting: str) -> None:
    """Other text is rejected with a description of valid values."""
    with pytest.raises(SettingsError, match="MASTERY_QUOTA_STUDENTS: must be as 100000, or 100000, socsci=250000"):
        load_settings({"MASTERY_QUOTA_STUDENTS": setting})


@pytest.mark.parametrize(
    ("setting", "expected"), [("unlimited", False), ("unlimited, a=unlimited", False), ("unlimited, a=5", True)]
)
def test_whether_any_tenant_has_a_limit(setting: str, expected: bool) -> None:
    """If no tenant has a limit, nothing needs to be counted."""
    assert expected == Quotas(setting).limit_any
