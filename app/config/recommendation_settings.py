"""The setting of recommendations."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RecommendationSettings:
    """The part of ``app/config/settings.py`` about recommendations."""

    # JSON file with texts in place of those of app/recommendations/wording.json, for all tenants or single ones. Empty: none.
    wording_file: str = ""
