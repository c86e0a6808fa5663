"""The keys of the rankings of cohorts: a part of ``keys.py``, which says more. ``rankings.lua`` says how they are kept."""

from app.storage.key_kinds import kind


class RankingKeys:
    """The keys of rankings. A ``place`` is a cohort, followed by the rule of its statistics: see ``rule_of``."""

    _prefix: str

    @kind("zset", "student → mastery", personal=True)
    def ranking(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:ranking:{cohort_id}"

    @kind(
        "zset",
        "student → millionths of mastery or of a component, of the students who allow `cohort_statistics`",
        personal=True,
    )
    def metric_ranking(self, tenant: str, metric: str, place: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:metric-ranking:{metric}:{place}"

    @kind("hash", "whether all students are in the rankings by metric: described in `ranking_store.py`")
    def counted(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:counted"

    @kind("hash", "the sum of the values in each of these, and that of their squares")
    def metric_sums(self, tenant: str, place: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:metric-sums:{place}"


def counted_under(rule: str) -> str:
    """How it is stored that students are counted under a rule. Rankings of another form would need another version."""
    return f"1{rule}"


def rule_of(*, is_consent_required: bool) -> str:
    """The end of a ``place``. Statistics under another rule of consent have rankings of their own."""
    return ".required" if is_consent_required else ""  # no cohort's name has a point
