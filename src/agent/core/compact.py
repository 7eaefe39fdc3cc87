"""Making a long history shorter: when it is due, what is folded, and what stands there afterwards. Pure, like the fold that uses it."""

from collections.abc import Sequence

from agent.core.calls import loose_arguments
from agent.core.estimate import Tally, message_tokens, messages_tokens
from agent.core.messages import Messages
from agent.core.state import RunState
from agent.models.message import Message
from agent.models.value import Value

WORTH = 0.05  # of the window: what is folded has to have more tokens than that
SCALE_BOUNDS = (0.25, 8.0)  # between what a provider counts and what we estimate
MAX_TOKENS = 2**53  # that a provider is believed


class Window(Value, frozen=True, kw_only=True, gc=False):
    """What a model takes, and how a history is kept below it."""

    tokens: int
    at: float = 0.8  # share of the window from which on the oldest turns are folded
    keep: float = 0.3  # share of it that the turns that stay may have
    keep_turns: int = 2  # turns that stay in any case
    retry_after: int = 5  # model calls after an attempt that failed
    tally: Tally | None = None  # of the run that it is for


class Folding(Value, frozen=True, kw_only=True, gc=False):
    """What of a history is to be folded: positions `first` up to `until` but for the `pinned` ones."""

    first: int
    until: int
    pinned: tuple[int, ...] = ()

    @property
    def positions(self) -> tuple[int, ...]:
        """Return the positions that go."""
        pinned = set(self.pinned)
        return tuple(n for n in range(self.first, self.until) if n not in pinned)


def prompt_tokens(state: RunState, tally: Tally | None = None) -> float:
    """Return about how many tokens the next prompt has: what was reported of the last one, and an estimate of what is new."""
    reported, covered, new = _sizes(state, tally)
    scale = _known_scale(state)
    return reported + scale * new if reported else scale * (covered + new)


def scale_of(state: RunState) -> float:
    """Return how many tokens the provider counts for one that we estimate, as far as it is known."""
    reported, covered, _ = _sizes(state)
    return min(reported / max(covered, 1.0), SCALE_BOUNDS[1]) if reported else _known_scale(state)


def _known_scale(state: RunState) -> float:
    return state.compacted.scale if state.compacted is not None else 1.0


def _sizes(state: RunState, tally: Tally | None = None) -> tuple[int, float, float]:
    """Return what the provider counted of the last prompt (0: nothing that can be believed), what we estimate of it, and of what is new.

    Some report only what was not in their cache.
    """
    asked, mark = state.input, state.prompt
    new = messages_tokens(state.messages.since(mark.count))
    covered = (tally or Tally()).of(state.messages, asked.schemas if asked is not None else []) - new
    return (min(mark.tokens, MAX_TOKENS) if mark.tokens >= SCALE_BOUNDS[0] * covered else 0), covered, new


def is_due(state: RunState, window: Window) -> bool:
    """Whether the oldest turns are to be folded before the model is asked again."""
    last = state.compacted
    if last is not None and state.used.iterations < last.iteration + (1 if last.is_done else window.retry_after):
        return False
    return prompt_tokens(state, window.tally) >= window.tokens * window.at and folding_of(state, window) is not None


def folding_of(state: RunState, window: Window) -> Folding | None:
    """Return what would be folded now; None where that would not be worth it."""
    items = state.messages.to_list()
    first = next((n for n, message in enumerate(items) if message.get("role") not in ("system", "developer")), len(items))
    scale = scale_of(state)
    until = _begin_of_tail(items, first, window, scale)
    folding = Folding(first=first, until=until, pinned=_pinned(state, items, first, until))
    gone = folding.positions
    if not gone or not is_safe(items, folding) or scale * sum(message_tokens(items[n]) for n in gone) < WORTH * window.tokens:
        return None
    return folding


def _begin_of_tail(items: Sequence[Message], first: int, window: Window, scale: float) -> int:
    """Return where the turns that stay begin: as many of the last ones as have room, `keep_turns` in any case."""
    until, tokens, turns = len(items), 0.0, 0
    for position in range(len(items) - 1, first - 1, -1):
        message = items[position]
        tokens += scale * message_tokens(message)
        if turns >= window.keep_turns and tokens > window.keep * window.tokens:
            break
        turns += message.get("role") == "assistant"
        if is_cut(items, position):
            until = position
    return until


def _pinned(state: RunState, items: Sequence[Message], first: int, until: int) -> tuple[int, ...]:
    """Return where the task, the memory block and the form of the answer stand."""
    asked = state.input
    wanted = [state.memory.block if state.memory is not None else None]
    if asked is not None:
        wanted.append(asked.task)
        if asked.output_schema is not None and asked.messages:
            wanted.append(asked.messages[-1].get("content"))
    places = (_last_said(items, content, first, until) for content in wanted if content)
    return tuple(sorted({place for place in places if place is not None}))


def _last_said(items: Sequence[Message], content: object, first: int, until: int) -> int | None:
    return next((n for n in range(len(items) - 1, first - 1, -1) if items[n].get("role") == "user" and items[n].get("content") == content and n < until), None)


def is_cut(items: Sequence[Message], position: int) -> bool:
    """Whether a history may be cut before a position: no call is parted from its result there."""
    if not 0 <= position <= len(items) or (position < len(items) and items[position].get("role") == "tool"):
        return False
    return position == 0 or not items[position - 1].get("tool_calls")


def cuts_of(items: Sequence[Message], first: int) -> tuple[int, ...]:
    """Return all positions after `first` before which a history may be cut."""
    return tuple(n for n in range(first + 1, len(items) + 1) if is_cut(items, n))


def is_safe(items: Sequence[Message], folding: Folding) -> bool:
    """Whether a history stays valid when it is folded so."""
    pinned = folding.pinned
    return (
        0 <= folding.first < folding.until <= len(items)
        and is_cut(items, folding.first)
        and is_cut(items, folding.until)
        and list(pinned) == sorted(set(pinned))
        and all(folding.first <= n < folding.until and items[n].get("role") == "user" for n in pinned)
    )


def folded(messages: Messages, folding: Folding, summary: Message) -> Messages:
    """Return the history with `summary` in place of what is folded; as it is where that would tear it."""
    items = messages.to_list()
    if not is_safe(items, folding):
        return messages
    return Messages().plus(*items[: folding.first], *(items[n] for n in folding.pinned), summary, *items[folding.until :])


# ---- for whoever sums up


def transcript(items: Sequence[Message], max_chars: int) -> str:
    """Return messages as text for a model to read, each with at most about `max_chars` characters."""
    return "\n\n".join(_told(message, max_chars) for message in items)


def _told(message: Message, max_chars: int) -> str:
    content = message.get("content")
    text = content if isinstance(content, str) else _words(content)
    name = f" {message['name']}" if message.get("role") == "tool" and message.get("name") else ""
    lines = [f"<{message.get('role')}{name}> {_middle_out(text, max_chars)}".rstrip()]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = function.get("arguments")
            shown = arguments if isinstance(arguments, str) else str(loose_arguments(arguments))
            lines.append(f"<call> {function.get('name')} {_middle_out(shown, max_chars)}")
    return "\n".join(lines)


def _words(content: object) -> str:
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", f"[{part.get('type')}]")) if isinstance(part, dict) else str(part) for part in parts)


def _middle_out(text: str, max_chars: int) -> str:
    """Return a text without its middle, where it is too long: how it begins and how it ends tell most."""
    if len(text) <= max_chars:
        return text
    head, tail = max_chars * 2 // 3, max_chars // 3
    return f"{text[:head]} […{len(text) - head - tail}…] {text[len(text) - tail :]}"
