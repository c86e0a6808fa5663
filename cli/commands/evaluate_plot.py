"""The plot of ``mastery evaluate``: errors and coverage of each cohort."""

from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.predictions.back_test import OLS_14, WEEKLY_CHOICE
from app.predictions.forecast_errors import BASE, LAST_VALUE, LEARNED
from cli.commands.evaluate_report import CohortReport, Report

# Told apart by shape as well as by colour; the colours are distinct for colour-blind people, too (Okabe, Ito 2008).
_MARKS = {OLS_14: ("v", "#999999"), BASE: ("s", "#56B4E9"), LEARNED: ("^", "#D55E00"), WEEKLY_CHOICE: ("o", "#000000")}
_MOST_RATIO = 2.0  # of the axis: methods that are worse stand at its end


def draw(found: Report, path: Path) -> list[Path]:
    """Write the plot as PNG and SVG beside ``path``, which gets these suffixes. Returns the files."""
    every = [*found.cohorts, found.overall]
    figure = Figure(figsize=(11, 2.0 + 0.45 * len(every)), layout="constrained")
    errors, coverage = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    _errors(errors, every)
    _coverage(coverage, every, found.interval_level)
    marks, names = errors.get_legend_handles_labels()
    figure.legend(marks, names, loc="outside lower left", ncols=len(names), fontsize="small")
    marks, names = coverage.get_legend_handles_labels()
    figure.legend(marks, names, loc="outside lower right", fontsize="small")
    figure.suptitle(f"Mastery {found.horizon_days} days ahead, each cohort forecast by models that have not seen it")
    files = [path.with_name(f"{path.name}{suffix}") for suffix in (".png", ".svg")]
    with rc_context({"svg.fonttype": "none"}):  # text as text: it can be found, and read aloud
        for file in files:
            figure.savefig(file, dpi=150, metadata={"Title": "mastery evaluate"})
    return files


def _errors(axes: Axes, every: list[CohortReport]) -> None:
    for name, (marker, colour) in _MARKS.items():
        rows = [(row, each.methods[name].mae_ratio) for row, each in enumerate(every) if name in each.methods]
        known = [(row, min(ratio, _MOST_RATIO)) for row, ratio in rows if ratio is not None]
        if known:
            axes.scatter(
                [ratio for _, ratio in known], [row for row, _ in known], marker=marker, c=colour, label=name, zorder=3
            )
    axes.axvline(1.0, color="#666666", linestyle="--", linewidth=1, label=LAST_VALUE)
    axes.set_xlim(0, _MOST_RATIO + 0.05)
    axes.set_yticks(range(len(every)), [f"{each.tenant_id}/{each.cohort_id}".lstrip("/") for each in every])
    axes.invert_yaxis()
    axes.set_xlabel("mean absolute error, relative to “stays as it is”")
    axes.grid(axis="x", alpha=0.3)


def _coverage(axes: Axes, every: list[CohortReport], level: float) -> None:
    marker, colour = _MARKS[WEEKLY_CHOICE]
    shares = [(row, each.methods[WEEKLY_CHOICE].interval_coverage or 0.0) for row, each in enumerate(every)]
    axes.axvspan(level - 0.02, level + 0.02, color="#009E73", alpha=0.25, label=f"{level:.0%} ± 2 %, what intervals aim at")
    axes.scatter([share for _, share in shares], [row for row, _ in shares], marker=marker, c=colour, zorder=3)
    axes.set_xlim(0.5, 1.0)
    axes.set_xlabel(f"outcomes inside the {level:.0%} interval")
    axes.grid(axis="x", alpha=0.3)
