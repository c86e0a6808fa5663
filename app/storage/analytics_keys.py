"""The keys of comparisons: a part of ``keys.py``, which says more."""

from app.storage.key_kinds import kind


class AnalyticsKeys:
    """The keys of comparisons. A ``place`` is that of the rankings: see ``RankingKeys``."""

    _prefix: str

    @kind(
        "hash",
        "the statistics of a cohort that students see: sorted values of at least five students, without names; described in "
        "`published_store.py`; kept while there is such a cohort, and a week longer",
    )
    def published(self, tenant: str, place: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:published:{place}"

    @kind("zset", "the cohorts of these hashes → the day on which they were looked at last")
    def published_places(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:published-places"

    @kind("string", "the mean mastery of a cohort at the end of each week; kept for `MASTERY_FORECAST_CACHE_SECONDS`")
    def cohort_trend(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:cohort-trend:{cohort_id}"

    @kind("string", "claim: this trend is being computed; expires after ten seconds")
    def cohort_trend_claim(self, tenant: str, cohort_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:cohort-trend-claim:{cohort_id}"
