"""Two runs beside each other, on a terminal or as JSON."""

from typing import Any

from rich.text import Text

from agent.cli.outlet import console, say_json
from agent.cli.place import Place, find_trace, opened
from agent.cli.visible import call_text, cost_text, one_line, tokens_text, visible
from agent.core.diff import Diff, Node, diff
from agent.models.trace import Trace

SIGNS = {"same": ("=", "dim"), "changed": ("~", "yellow"), "removed": ("-", "red"), "added": ("+", "green")}
VALUE_CHARS = 70  # of each side of a change


async def diff_runs(place: Place, first: str, second: str, *, is_json: bool) -> None:
    """Print how the second run differs from the first."""
    async with opened(place) as store:
        a, b = await find_trace(store.traces, first, place.uid), await find_trace(store.traces, second, place.uid)
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
    for name, (before, after) in node.changes.items():
        lines.append(Text(f"    {one_line(name, 40)}: ").append(_value(before), style="red").append(" → ").append(_value(after), style="green"))
    return lines


def _value(value: Any) -> str:
    return "nothing" if value is None else one_line(value, VALUE_CHARS)
