"""A report of an eval: as tables of words, from which Markdown and a page are made."""

import html
from collections.abc import Sequence

from agent.evals.curves import curves_svg
from agent.evals.paired import Estimate
from agent.evals.results import Comparison, Curve, Results
from agent.models.value import Value

METHODS = (
    (
        "Each arm does the same tasks with the same seeds, in the same order, under a uid of its own: arms share no memory. "
        "Differences are of pairs of the same task and seed."
    ),
    (
        "Intervals hold in 95 of 100 such evals. Of one seed and scores of 0 or 1: Newcombe's for paired shares (1998, method 10), with McNemar's exact "
        "test. Else the pigeonhole bootstrap (Owen 2007) over tasks and seeds, with a fixed seed: rather too wide. Of harm and gain: Wilson's, each "
        "task counted once."
    ),
    (
        "Harm is the share of pairs that are right without and wrong with; gain the other way round. Where an interval is wide, or tasks are fewer than "
        "ten, the word is “not yet known”, whatever the difference. Tasks of this set speak for tasks of its kind and for this model, one seed for one "
        "order of tasks alone."
    ),
    (
        "The arm memory is told what it has for the task, placebo as many tokens of unrelated text, random what memory has for another task. The limits "
        "on what memory tells are the same for all; nothing is withheld to be measured, but for items on probation."
    ),
)
"""How to read it."""


class Grid(Value, frozen=True):
    """A table: its heading, the names of its columns, its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def share(value: float) -> str:
    """Return a share in per cent."""
    return f"{value * 100:.1f} %"


def interval_text(estimate: Estimate | None) -> str:
    """Return a share with its interval."""
    if estimate is None:
        return "–"
    found = estimate.interval
    return f"{share(found.estimate)} ({found.low * 100:.1f} … {found.high * 100:.1f})"


def difference_text(estimate: Estimate | None) -> str:
    """Return a difference in points with its interval."""
    if estimate is None:
        return "–"
    found = estimate.interval
    return f"{found.estimate * 100:+.1f} ({found.low * 100:+.1f} … {found.high * 100:+.1f})"


def sentences(results: Results) -> list[str]:
    """Return what came of an eval in a few lines."""
    setting = results.setting
    lines = [f"{setting.tasks} tasks, {setting.seeds} seed{'s' if setting.seeds > 1 else ''}, model {setting.model}."]
    if not results.is_done:
        lines.append(f"{results.runs} of {results.wanted} runs are done: what is said here may change.")
    lines += [sentence(compared) for compared in results.comparisons]
    return lines


def sentence(compared: Comparison) -> str:
    """Return what came of one arm beside another."""
    part = "held-out tasks" if compared.part == "held_out" else "tasks"
    head = f"{compared.arm} beside {compared.beside}, {part}: {compared.verdict}"
    return f"{head}, {difference_text(compared.difference)} points." if compared.difference is not None else f"{head}."


def grids(results: Results) -> list[Grid]:
    """Return the tables of a report."""
    has_parts = len({arm.part for arm in results.arms}) > 1

    def named(arm: str, part: str) -> str:
        """Return an arm's name, with the part of the set where there are two."""
        return f"{arm}, {'held out' if part == 'held_out' else 'train'}" if has_parts else arm

    arms = [
        (
            named(arm.arm, arm.part),
            str(arm.runs),
            interval_text(arm.right),
            interval_text(arm.score),
            f"{arm.tokens:.0f}",
            f"{arm.memory_tokens:.0f}",
            f"{arm.took_s:.2f}",
            f"{'≥ ' if arm.cost_is_partial else ''}{arm.cost_usd:.4f}",
            ", ".join(f"{count} {what}" for count, what in ((arm.failed, "failed"), (arm.unknown, "unscored"), (arm.corrected, "corrected")) if count) or "–",
        )
        for arm in results.arms
    ]
    compared = [
        (
            named(f"{one.arm} beside {one.beside}", one.part),
            difference_text(one.difference),
            one.verdict,
            interval_text(one.harm),
            interval_text(one.gain),
            f"{one.mcnemar_p:.3f}" if one.mcnemar_p is not None else "–",
            one.difference.method if one.difference is not None else "–",
        )
        for one in results.comparisons
    ]
    found = [
        Grid("Differences", ("arms", "points", "verdict", "harm", "gain", "McNemar p", "interval by"), tuple(compared)),
        Grid("Arms", ("arm", "runs", "right", "score", "tokens a run", "of memory", "seconds", "cost in USD", "besides"), tuple(arms)),
    ]
    if results.curves:
        found.append(_curve_grid(results.curves))
    if results.harmed:
        rows = [(one.task_id, str(one.seed), one.trace_id, one.beside, one.why) for one in results.harmed]
        found.append(Grid("Right without, wrong with memory", ("task", "seed", "run with", "run without", "why"), tuple(rows)))
    return [grid for grid in found if grid.rows]


def _curve_grid(curves: Sequence[Curve]) -> Grid:
    pieces = sorted({(point.first, point.until) for curve in curves for point in curve.points})
    scores = {(curve.arm, point.first): point.score.interval.estimate for curve in curves for point in curve.points}
    rows = [
        (f"{first + 1} to {until}", *(share(scores[curve.arm, first]) if (curve.arm, first) in scores else "–" for curve in curves)) for first, until in pieces
    ]
    return Grid("As it went on", ("tasks", *(curve.arm for curve in curves)), tuple(rows))


# ---- Markdown


def to_markdown(results: Results) -> str:
    """Return a report as Markdown; words of tasks and models are text, never markup."""
    setting = results.setting
    lines = [f"# Eval {_md(setting.name)}", ""]
    if setting.description:
        lines += [_md(setting.description), ""]
    lines += [f"- {_md(one)}" for one in sentences(results)]
    for grid in grids(results):
        lines += ["", f"## {grid.title}", "", f"| {' | '.join(grid.columns)} |", f"|{'---|' * len(grid.columns)}"]
        lines += [f"| {' | '.join(_md(cell) for cell in row)} |" for row in grid.rows]
    lines += ["", "## How to read it", "", *(f"- {one}" for one in METHODS), "", f"Eval `{setting.eval_id}`, begun {setting.created_at:%Y-%m-%d %H:%M} UTC."]
    return "\n".join(lines) + "\n"


def _md(text: str) -> str:
    plain = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_[]|#" else char for char in plain)


# ---- HTML

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
svg { width: 100%; max-width: 46rem; height: auto; }
figure { margin: 1rem 0; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def to_html(results: Results) -> str:
    """Return a report as one page that loads nothing and runs nothing; all words in it are escaped."""
    setting, escape = results.setting, html.escape
    curve = curves_svg(results.curves, title=f"Mean score of each arm as it went on, eval {setting.name}")
    figure = f"<h2>As it went on</h2><figure>{curve}<figcaption>Mean score with a 95 % band, of pieces of the stream of tasks.</figcaption></figure>"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>Eval {escape(setting.name)}</title><style>{_STYLE}</style></head><body>',
        f"<h1>Eval {escape(setting.name)}</h1>",
        f"<p>{escape(setting.description)}</p>" if setting.description else "",
        f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in sentences(results))}</ul>",
        figure if curve else "",
        *(_html_table(grid) for grid in grids(results)),
        f"<h2>How to read it</h2><ul>{''.join(f'<li>{escape(one)}</li>' for one in METHODS)}</ul>",
        f"<p>Eval <code>{escape(setting.eval_id)}</code>, begun {setting.created_at:%Y-%m-%d %H:%M} UTC.</p>",
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _html_table(grid: Grid) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in grid.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in grid.rows)
    return f"<h2>{html.escape(grid.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
