"""The demo's output: counts, levels per cohort, the students who most need help, and a sample query."""

import shlex
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from app.audit.entry import SystemAction
from app.bootstrap import Engine
from app.clock import day_number
from app.config.secret_settings import DEVELOPMENT_FLOWER_PASSWORD
from app.mastery.formula import Level, weakest_component
from app.mastery.overview import cohort_levels, most_in_need
from app.mastery.query_mastery import Standing
from app.roles import Role
from app.security.tokens import development_token
from cli.commands.operator_audit import write_entry
from cli.commands.replay import EventReplay
from cli.demo.classroom import EXAMPLE
from cli.stack.running_stack import RunningStack

IN_NEED = 10
WITHHELD = "-"  # there are too few students for a statistic


def print_summary(engine: Engine, outcome: EventReplay, console: Console) -> None:
    """Print the counts of a run and the resulting state. It names students, so it is noted in each tenant's audit trail."""
    in_need = most_in_need(stores=engine.mastery, consents=engine.consents, now=engine.clock(), count=IN_NEED)
    for tenant in engine.mastery.tenants.all():
        write_entry(
            engine, SystemAction.READ_SUMMARY, trail=tenant, students=[each.student_id for of, each in in_need if of == tenant]
        )
    console.print(_counts(outcome))
    if outcome.duplicates:
        console.print("Duplicates were here already, for example from an earlier run: each event counts once.")
    if outcome.erased:
        console.print("Refused events are from before their student was erased.")
    console.print(_levels(engine))
    console.print(_in_need(in_need))


def print_how_to_call(engine: Engine, stack: RunningStack, console: Console) -> None:
    """Print a query with a token, to paste into a shell."""
    someone = _student_to_ask_about(engine)
    if engine.settings.env == "production" or someone is None:
        return
    tenant, student_id = someone
    token = development_token(engine.settings, role=Role.ADMIN, tenant=tenant, subject="demo", now=engine.clock())
    hours = engine.settings.token_ttl_seconds // 3600
    console.print(f"\nAsk the engine yourself (the token is an admin's of {tenant}, valid for {hours} h):\n", style="bold")
    lines = (
        f"TOKEN={token}",
        f'{_curl(stack)} {stack.http_url}/mastery/query -H "Authorization: Bearer $TOKEN" \\',
        "     -H 'Content-Type: application/json' \\",
        f'     -d \'{{"student_id": "{student_id}"}}\'',
    )
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
    is_known = engine.settings.flower_password == DEVELOPMENT_FLOWER_PASSWORD
    login = f"user {engine.settings.flower_user}, password {DEVELOPMENT_FLOWER_PASSWORD if is_known else 'as you set it'}"
    console.print(f"\nAll routes: {stack.http_url}/docs    Tasks: {stack.flower_url} ({login})", soft_wrap=True)


def _curl(stack: RunningStack) -> str:
    """The curl command; the system does not trust a self-signed certificate, so curl gets it as CA."""
    return f"curl -s --cacert {shlex.quote(stack.http_cert_file)}" if stack.http_cert_file else "curl -s"


def _student_to_ask_about(engine: Engine) -> tuple[str, str] | None:
    """The student of the documentation's examples, so that the token fits them; without this one, any. With their tenant."""
    if engine.mastery.facts.cohort_of(*EXAMPLE):
        return EXAMPLE
    tomorrow = day_number(engine.clock()) + 1
    for tenant in engine.mastery.tenants.all():
        if students := engine.mastery.scores.stale_students(tenant, tomorrow, limit=1):
            return tenant, students[0]
    return None


def _counts(outcome: EventReplay) -> Table:
    table = Table(title="Events", box=SIMPLE_HEAD)
    for heading in ("in", "applied", "duplicates", "expired", "refused", "dead-lettered", "events/s"):
        table.add_column(heading, justify="right")
    counts = (outcome.events, outcome.applied, outcome.duplicates, outcome.expired, outcome.erased, outcome.dead_lettered)
    table.add_row(*(f"{count:,}" for count in counts), f"{outcome.events / outcome.seconds:,.0f}")
    return table


def _levels(engine: Engine) -> Table:
    table = Table(title="Mastery by cohort", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("cohort", no_wrap=True)
    for heading in ("size", "mean", *(level.value for level in Level)):
        table.add_column(heading, justify="right")
    for tenant in engine.mastery.tenants.all():
        for cohort in engine.mastery.scores.cohorts(tenant):
            found = cohort_levels(tenant, cohort, stores=engine.mastery, consents=engine.consents)
            cells = [WITHHELD] * (len(Level) + 2)
            if found is not None:
                cells = [str(found.students), f"{found.mean:.2f}", *(str(found.levels[level]) for level in Level)]
            table.add_row(f"{tenant}/{cohort}", *cells)
    return table


def _in_need(students: Sequence[tuple[str, Standing]]) -> Table:
    table = Table(title="Who most needs help", box=SIMPLE_HEAD)
    table.add_column("student", no_wrap=True)
    table.add_column("cohort")
    table.add_column("mastery", justify="right")
    for heading in ("trend", "weakest"):
        table.add_column(heading)
    for tenant, standing in students:
        table.add_row(
            standing.student_id,
            f"{tenant}/{standing.cohort_id or '-'}",
            f"{standing.score:.3f}",
            standing.trend.value,
            _weakest(standing),
        )
    return table


def _weakest(standing: Standing) -> str:
    name = weakest_component(standing.components)
    score = standing.components[name]
    return f"{name}: none" if score is None else f"{name}: {score:.0%}"
