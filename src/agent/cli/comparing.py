"""Two runs beside each other, on a terminal or as JSON."""

from typing import Any

from rich.text import Text

from agent.cli.outlet import console, say_json
from agent.cli.place import Place, find_trace, opened
from agent.cli.visible import call_text, cost_text, one_line, tokens_text, visible
from agent.core.diff import Diff, Node, diff
from agent.errors import BadInput
from agent.models.trace import Trace

SIGNS = {"same": ("=", "dim"), "changed": ("~", "yellow"), "removed": ("-", "red"), "added": ("+", "green")}
VALUE_CHARS = 70  # of each side of a change
LEAD_CHARS = 20  # shown before the place where two long texts differ


async def diff_runs(place: Place, first: str, second: str | None, *, is_json: bool) -> None:
    """Print how the second run differs from the first; with one run, how that fork differs from what it was forked from.

    Raises:
        BadInput: there is one run, and it is no fork.
    """
    async with opened(place) as store:
        a = await find_trace(store.traces, first, place.uid)
        if second is not None:
            b = await find_trace(store.traces, second, place.uid)
        elif a.fork_at is not None and a.parent_trace_id is not None:
            a, b = await find_trace(store.traces, a.parent_trace_id, place.uid), a
        else:
            raise BadInput(f"run {a.trace_id} is no fork: name the run that it is to be compared with")
        found = diff(*[await store.traces.get_steps(trace.trace_id, uid=place.uid) for trace in (a, b)])
    if is_json:
        say_json({"a": a.trace_id, "b": b.trace_id, **found.to_dict()})
        return
    out = console(is_stderr=False)
    for line in diff_lines(a, b, found):
        out.print(line, soft_wrap=True)


def diff_lines(a: Trace, b: Trace, found: Diff) -> list[Text]:
    """Return what a person is shown of a difference."""
    lines = [Text(f"- {a.trace_id}  {a.status}", style="red"), Text(f"+ {b.trace_id}  {b.status}", style="green")]
    if found.shared:
        lines.append(Text(f"= {found.shared} steps are shared: one run was forked from the other, or both from a third", style="dim"))
    for node in found.nodes:
        if node.status != "shared":
            lines += _node_lines(node)
    if found.is_same:
        lines.append(Text("the runs did the same"))
    (x, y), (p, q) = found.cost, found.cost_is_partial
    tokens = f"{tokens_text(found.tokens[0])} → {tokens_text(found.tokens[1])} ({found.tokens[1] - found.tokens[0]:+,})"
    return [*lines, Text(f"{tokens}; {cost_text(x, is_partial=p)} → {cost_text(y, is_partial=q)}", style="bold")]


def _node_lines(node: Node) -> list[Text]:
    sign, style = SIGNS[node.status]
    numbers = [str(n) for n in (node.a_sequence, node.b_sequence) if n is not None]
    what = (
        call_text(node.label, node.arguments) if node.arguments is not None else " ".join(part for part in (node.step_type, one_line(node.label, 60)) if part)
    )
    lines = [Text(f"{sign} {'/'.join(dict.fromkeys(numbers))} {visible(what)}", style=style)]
    return [*lines, *(change_line(name, *values) for name, values in node.changes.items())]


def change_line(name: str, before: Any, after: Any) -> Text:
    """Return what something was, and what it is in the other run."""
    if isinstance(before, str) and isinstance(after, str):
        before, after = _from_difference(before, after)
    return Text(f"    {one_line(name, 60)}: ").append(_value(before), style="red").append(" → ").append(_value(after), style="green")


def _from_difference(before: str, after: str) -> tuple[str, str]:
    """Return two texts from where they differ, so that a short line shows it; whole where that is near the beginning."""
    same = next((n for n, (x, y) in enumerate(zip(before, after, strict=False)) if x != y), min(len(before), len(after)))
    begin = same - LEAD_CHARS
    return (before, after) if same < VALUE_CHARS - LEAD_CHARS else (f"…{before[begin:]}", f"…{after[begin:]}")


def _value(value: Any) -> str:
    return "nothing" if value is None else one_line(value, VALUE_CHARS)
