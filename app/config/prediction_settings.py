"""The settings of predictions."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from app.config.field_types import Switch


@dataclass(frozen=True, kw_only=True)
class PredictionSettings:
    """The part of ``app/config/settings.py`` about predictions."""

    # How long a forecast is kept in Redis, some 1.3 KB for each student who was asked about. It is used only while nothing that
    # it depends on has changed, so this bounds memory, not how old an answer is. At most a day: then none is valid any more.
    forecast_cache_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 3600
    # How long the errors of forecasts count in their accuracy, as sums without students: 60 bytes for each day and model of a
    # cohort. Three months, so that the versions of a course's models can be compared.
    forecast_accuracy_days: Annotated[int, Meta(ge=7, le=3650)] = 90
    # A student whose predicted mastery is below this needs help.
    intervention_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    # Whether workers train models, for which they need the extra `training`: a minute or two of one processor for each tenant.
    training: Switch = "on"
    # The fewest days between two trainings of a tenant's model.
    training_days: Annotated[int, Meta(ge=1, le=365)] = 1
