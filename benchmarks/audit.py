"""The cost of the audit trail for a query: the API with and without the trail, alternately, on the same Valkey."""

from statistics import median

from benchmarks.http_load import Load, run_load
from benchmarks.percentile import percentile
from benchmarks.query import CLIENTS, fill, plan_queries, served
from benchmarks.stacks import fresh_stack
from benchmarks.table import Row

TARGET = 2.0  # times the latency without the trail
APPLICATION, BASELINE = "api.wsgi:create_app()", "benchmarks.without_audit:create_app()"


def measure(*, quick: bool) -> list[Row]:
    """Measure with both servers running throughout; the results are medians over the rounds."""
    rounds, seconds = (2, 1.5) if quick else (5, 4.0)
    rows = []
    with fresh_stack() as stack:
        unlimited = {"MASTERY_RATELIMIT_MASTERY": "1000000/minute"}
        with served(stack, APPLICATION, **unlimited) as url, served(stack, BASELINE, **unlimited) as baseline_url:
            fill(stack)
            for clients in (1, CLIENTS):
                loads: dict[str, list[Load]] = {url: [], baseline_url: []}
                for each in loads:
                    run_load(plan_queries(stack, each, 1.0, clients))
                for _round in range(rounds):
                    for each, made in loads.items():
                        made.append(run_load(plan_queries(stack, each, seconds, clients)))
                rows.append(_row(clients, loads[url], loads[baseline_url]))
    return rows


def _row(clients: int, ours: list[Load], theirs: list[Load]) -> Row:
    ratios = [_at(ours, percent) / _at(theirs, percent) for percent in (50, 95)]
    return Row(
        what=f"POST /mastery/query with the audit trail, {clients} client{'s' if clients > 1 else ''}",
        measured=_text(ours),
        baseline=f"{_text(theirs)}\nwithout the trail",
        ratio=" and ".join(f"{ratio:.2f} ×" for ratio in ratios),
        target=f"< {TARGET:.0f} × the latency",
        met=max(ratios) < TARGET,
    )


def _text(loads: list[Load]) -> str:
    return f"p50 {_at(loads, 50) * 1000:.1f}, p95 {_at(loads, 95) * 1000:.1f} ms"


def _at(loads: list[Load], percent: float) -> float:
    return median(percentile(load.latencies, percent) for load in loads)
