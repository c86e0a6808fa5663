"""``python -m benchmarks.own_days EVENTS``: what a tenant may expect of forecasts that learn from its own retained days.

Simulates an engine on an event file. Every two weeks each tenant trains on the days that it still stores, as
``train_tenant_model`` does, and what the gate chooses for a cohort answers until the next training. Before there is enough to
train, the base model does.
Not part of ``make bench``: 430,000 events take eight minutes of a processor. docs/forecasts.md has the results on OULAD.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from app.predictions.daily_history import DailyHistory, history_of
from app.predictions.event_history import Cohort, event_histories
from app.predictions.features import HORIZON_DAYS
from app.predictions.forecast_errors import BASE, FEWEST_FORECASTS, LAST_VALUE, LEARNED, METHODS, ForecastErrors, errors_of
from app.predictions.gate import answerer
from app.predictions.learned_model import LearnedModel
from app.predictions.origins import Origins, origins, some_students
from app.predictions.peers import CohortDays, peers
from app.predictions.split_origins import drawn_origins, pooled, split_columns, weeks_of
from app.predictions.stored_model import base_points
from app.predictions.train_model import FEWEST_TRAINING_ORIGINS, examples, train_model
from cli.commands.evaluate import observed_events
from cli.commands.event_files import event_file

RETENTION_DAYS = 90
BETWEEN_TRAININGS = 14  # days; an engine trains daily, which would take fourteen times as long
FIRST_TRAINING = 8  # day of the file; the first ones are too early to train, and the base model answers
STUDENTS = 500  # of a cohort
TRAINING_ORIGINS = 20_000  # of a tenant
CHOSEN = "chosen"

Errors = dict[str, ForecastErrors]


class _Period(NamedTuple):
    """The two weeks after a training: the errors of each method in a cohort, and the method that the gate chose."""

    cohort: Cohort
    errors: Errors
    chosen: str

    @property
    def answered(self) -> ForecastErrors:
        return self.errors[self.chosen]


@click.command()
@click.argument("events", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--students", default=STUDENTS, show_default=True, help="Of each cohort, drawn at random.")
def main(events: Path, students: int) -> None:
    """Simulate an engine on EVENTS (NDJSON, gzipped or not), and print the errors of its forecasts."""
    with event_file(events) as file:
        histories = event_histories(observed_events(file, click.echo))
    rng, tenants = np.random.default_rng(0), dict[str, dict[Cohort, DailyHistory]]()
    for cohort, history in histories.items():
        drawn = np.sort(rng.permutation(history.students)[:students])
        tenants.setdefault(cohort.tenant, {})[cohort] = some_students(history, drawn)
    periods = [period for cohorts in tenants.values() for period in _simulated(cohorts)]
    for name in ("all", *map(str, histories)):
        _print(name, [period for period in periods if name in ("all", str(period.cohort))])
    worse = sum(period.answered.mae > period.errors[LAST_VALUE].mae * 1.01 for period in periods)
    click.echo(f'periods of two weeks more than 1 % worse than "{LAST_VALUE}": {worse} of {len(periods)}')


def _simulated(cohorts: Mapping[Cohort, DailyHistory]) -> Iterator[_Period]:
    """One tenant, from the first day to the last."""
    days = next(iter(cohorts.values())).days
    yesterday: dict[Cohort, CohortDays] = {
        cohort: [None, *peers(history, RETENTION_DAYS, np.arange(days))[:-1]] for cohort, history in cohorts.items()
    }
    for today in range(FIRST_TRAINING, days - HORIZON_DAYS, BETWEEN_TRAININGS):
        model, chosen = _trained(cohorts, today)
        columns = np.arange(today, min(today + BETWEEN_TRAININGS, days - HORIZON_DAYS))
        for cohort, history in cohorts.items():
            known = [yesterday[cohort][column] for column in columns.tolist()]
            of = origins(history, RETENTION_DAYS, columns, known).with_outcome()
            if len(of.score):
                yield _Period(cohort, _errors(model, of), chosen.get(cohort, BASE))


def _trained(cohorts: Mapping[Cohort, DailyHistory], today: int) -> tuple[LearnedModel | None, dict[Cohort, str]]:
    """A model of what is stored on a day, and what the gate chooses for each cohort; no model if there is too little."""
    number, learned_from, tested = len(cohorts), {}, {}
    for seed, (cohort, history) in enumerate(cohorts.items(), today):
        stored = _stored(history, today)
        columns = split_columns(stored.days)
        if stored.students:
            each, fewest = TRAINING_ORIGINS // number, FEWEST_FORECASTS
            learned_from[str(cohort)] = examples(stored, RETENTION_DAYS, columns.training, each, seed)
            tested[cohort] = drawn_origins(stored, RETENTION_DAYS, columns.test, max(each, fewest), seed)
    learned_from = pooled(learned_from)
    trained_with = sum(len(each.real.score) for each in learned_from.values())
    if trained_with < FEWEST_TRAINING_ORIGINS or sum(len(of.score) for of in tested.values()) < FEWEST_FORECASTS:
        return None, {}
    model = train_model(learned_from).model
    by_week = [[_errors(model, of) for of in weeks] for weeks in weeks_of(list(tested.values()))]
    overall = answerer([_sum(errors) for errors in zip(*by_week, strict=True)]) or BASE
    return model, {cohort: answerer(weeks) or overall for cohort, weeks in zip(tested, by_week, strict=True)}


def _stored(history: DailyHistory, today: int) -> DailyHistory:
    """What an engine stores on a day: the facts of the retained days until yesterday, of students who have any."""
    columns = np.arange(today - RETENTION_DAYS + 1, today)
    facts = {name: np.where(columns >= 0, values[:, np.maximum(columns, 0)], 0) for name, values in history.facts.items()}
    has_any = np.any([(values > 0).any(axis=1) for values in facts.values()], axis=0)
    return history_of({name: values[has_any] for name, values in facts.items()}, today - 1)


def _errors(model: LearnedModel | None, of: Origins) -> Errors:
    points = {LAST_VALUE: of.score, BASE: base_points(of)}
    if model is not None:
        points[LEARNED] = model.forecast(of).point
    return {method: errors_of(point, of.outcome) for method, point in points.items()}


def _sum(parts: Sequence[Errors]) -> Errors:
    """Of the methods that the first part has."""
    return {method: reduce(ForecastErrors.plus, (part[method] for part in parts)) for method in parts[0]}


def _print(name: str, periods: Sequence[_Period]) -> None:
    """MAE and RMSE relative to "last value"; without a learned model, the base model takes its place."""
    methods = {
        method: reduce(ForecastErrors.plus, (period.errors.get(method, period.errors[BASE]) for period in periods))
        for method in METHODS
    }
    last = methods.pop(LAST_VALUE)
    methods[CHOSEN] = reduce(ForecastErrors.plus, (period.answered for period in periods))
    told = ", ".join(f"{method} {each.mae / last.mae:.3f} / {each.rmse / last.rmse:.3f}" for method, each in methods.items())
    share = sum(period.answered.number for period in periods if period.chosen == LEARNED) / last.number
    click.echo(f"{name}: {told}; {share:.0%} learned")


if __name__ == "__main__":
    main()
