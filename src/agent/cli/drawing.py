"""Lines of the tree: what a turn, a call and an ending look like. Text of strangers never becomes markup."""

from collections.abc import Iterator

from rich.text import Text

from agent.cli.board import Board, Call, Turn
from agent.cli.visible import cost_text, one_line, result_text, tokens_text, took_text

SAID_CHARS = 100  # of what a model says beside its tool calls
REASONS = {
    "confirmation": "needs a person's agreement",
    "in_doubt": "in doubt: it was begun, and nobody knows whether it was done",
    "manual": "tools are not run by themselves in this run",
    "policy": "a policy wants a person's agreement",
    "taint": "it rests on untrusted text",
    "repaired_arguments": "its arguments had to be repaired",
    "subrun": "the agent that carries it out waits",
}


class Signs:
    """The signs of the tree; plain ones where the terminal has no others."""

    def __init__(self, *, has_unicode: bool = True) -> None:
        self.model, self.ok, self.bad, self.wait, self.branch, self.last, self.gap = (
            ("●", "→", "✗", "?", "├─ ", "└─ ", " · ") if has_unicode else ("*", "->", "x", "?", "|- ", "`- ", " - ")
        )


def facts(signs: Signs, *parts: str | None) -> Text:
    """Return side facts (time, tokens, cost), dimmed."""
    shown = [part for part in parts if part]
    return Text(signs.gap + signs.gap.join(shown), style="dim") if shown else Text()


STREAMED = {"reasoning": "thinks: ", "tool_arguments": "writes arguments: "}  # before what streams and is no answer


def turn_lines(turn: Turn, signs: Signs, *, now: float | None = None, tail_chars: int = 0) -> Iterator[Text]:
    """Yield the lines of a turn. With `now` it is going on; then as much of the streaming text as `tail_chars` is shown."""
    head = Text().append(f"{signs.model} ", style="cyan")
    head.append(f"{turn.number}  " if turn.number is not None else "", style="bold")
    if turn.content is None and turn.number is not None:
        head.append("model", style="bold").append(" is asked …" if now is not None else " gave no answer")
        head.append_text(facts(signs, took_text(now - turn.began_at) if now is not None else None))
        yield head
        if turn.text and tail_chars:
            yield Text("   " + STREAMED.get(turn.kind, "") + one_line(turn.text[-tail_chars:], tail_chars), style="dim")
    elif turn.number is not None:
        asked = f" asks for {turn.asked} tool call{'' if turn.asked == 1 else 's'}" if turn.asked else " answers"
        head.append("model", style="bold").append(asked)
        yield head.append_text(facts(signs, took_text(turn.took_s) if turn.took_s is not None else None, tokens_text(turn.tokens), cost_text(turn.cost)))
        if turn.asked and turn.content and turn.content.strip():
            yield Text("   " + one_line(turn.content, SAID_CHARS), style="dim")
    else:
        yield head.append("goes on where it was")
    calls = list(turn.calls.values())
    for position, call in enumerate(calls):
        yield call_line(call, signs, is_last=position == len(calls) - 1, now=now)


def call_line(call: Call, signs: Signs, *, is_last: bool, now: float | None = None) -> Text:
    """Return the line of one tool call."""
    line = Text("   ").append(signs.last if is_last else signs.branch, style="dim").append(call.text)
    if call.waits_for is not None:
        return line.append(f" {signs.wait} waits: {REASONS.get(call.waits_for, call.waits_for)}", style="yellow")
    if call.is_ok is None:
        running = took_text(now - call.began_at) if now is not None and call.began_at is not None else None
        return line.append(" …", style="dim").append_text(facts(signs, running))
    line.append(f" {signs.ok if call.is_ok else signs.bad} ", style="green" if call.is_ok else "red").append(result_text(call.result))
    return line.append_text(facts(signs, took_text(call.took_s) if call.took_s is not None else None))


def total_parts(board: Board, took_s: float) -> list[str]:
    """Return what a run used, in words."""
    data = board.ending.data if board.ending is not None else {}
    parts = [f"{board.turns} model call{'' if board.turns == 1 else 's'}", f"{board.tools} tool call{'' if board.tools == 1 else 's'}"]
    if "total_tokens" in data:
        parts += [f"{tokens_text(data['total_tokens'])} in all", cost_text(data.get("total_cost"), is_partial=bool(data.get("cost_is_partial")))]
    return [*parts, took_text(took_s)] if board.is_timed else parts
