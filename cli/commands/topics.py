"""``mastery topics``: the topics in Kafka."""

import sys

import click

from app.config.settings import Settings, load_settings
from cli.stack.running_stack import settings_of_running_stack
from consumers.kafka.topics import State, TopicOutcome, create_topics

COLOURS = {State.CREATED: "green", State.EXISTS: None, State.REFUSED: "red"}


@click.group()
def topics() -> None:
    """The topics in Kafka."""


@topics.command()
def create() -> None:
    """Create the topics that are missing, with the partitions, replication and retention of the settings.

    Topics that exist are compared with the settings and never changed.
    """
    outcomes = create_topics(_settings())
    for outcome in outcomes:
        _print(outcome)
    sys.exit(any(outcome.state == State.REFUSED for outcome in outcomes))


def _settings() -> Settings:
    """The settings; a running stack is required only if they do not name a Kafka."""
    settings = load_settings()
    return settings if settings.kafka_bootstrap else settings_of_running_stack(settings)


def _print(outcome: TopicOutcome) -> None:
    subject = outcome.topic.name if outcome.state == State.EXISTS else str(outcome.topic)
    click.secho(f"{outcome.state.value}: {subject}", fg=COLOURS[outcome.state])
    for remark in outcome.remarks:
        click.secho(f"  {'error' if outcome.state == State.REFUSED else 'warning, nothing changed'}: {remark}", fg="yellow")
