"""What a model saw, derived from the steps: stored once, restored on reading."""

from collections.abc import Iterable, Sequence
from typing import Any

from agent.core.fold import advance, history, start
from agent.core.messages import Messages
from agent.core.state import RunState
from agent.models.message import Message
from agent.models.trace import Step, sequence_of
from agent.models.value import replace


class Expander:
    """Restores one step after another, from the first of a run on."""

    def __init__(self, inherited: Messages | None = None, *, with_messages: bool = True) -> None:
        self.state: RunState = start(inherited)
        self.with_messages = with_messages

    def next(self, step: Step) -> Step:
        """Return the step with what was left out of it."""
        data = step.data
        if step.step_type == "llm_call" and "messages" not in data:
            data = _of_llm_call(
                step,
                self.state.input.model if self.state.input else "",
                history(self.state, is_final_call=bool(data.get("is_final_call"))) if self.with_messages else None,
            )
        elif step.step_type == "tool_call" and "arguments" not in data:
            call = self.state.call(data.get("call_id", ""))
            data = {**data, "arguments": call.arguments if call else None}
        elif step.step_type == "conclusion" and "content" not in data:
            data = {"content": self.state.answer or "", "is_final": True, **data}
        self.state = advance(self.state, step)
        return step if data is step.data else replace(step, data=data)


def _of_llm_call(step: Step, model: str, messages: list[Message] | None) -> dict[str, Any]:
    data = {"response": "", "model": model, "tool_calls": None, "prompt_tokens": 0, "completion_tokens": 0, "cost": None, **step.data}
    if messages is not None:
        data["messages"] = messages
    return data


def expand(steps: Sequence[Step], *, with_messages: bool = True, before: Sequence[Step] = (), inherited: Messages | None = None) -> list[Step]:
    """Return `steps` with what was left out of them restored (`messages`, `model`, `arguments`, `content`).

    `steps` are a run from its first step on, or any part of one with the steps that `needs` names in `before` (then without
    messages: `with_messages=False`). `inherited` are the messages of the run that this one continues (`continues`).
    """
    if with_messages:
        expander = Expander(inherited)
        return [expander.next(step) for step in steps]
    known = {step.step_id: step for step in (*before, *steps)}
    return [_restored(step, known) for step in steps]


def _restored(step: Step, known: dict[str, Step]) -> Step:
    data = step.data
    if step.step_type == "llm_call" and "messages" not in data:
        first = next((s for s in known.values() if s.step_type == "input" and not s.data.get("is_resume")), None)
        return replace(step, data=_of_llm_call(step, first.data.get("model", "") if first else "", None))
    if step.step_type in ("tool_call", "conclusion") and ("arguments" if step.step_type == "tool_call" else "content") not in data:
        asked = next((known[i] for i in step.parent_ids if i in known and known[i].step_type == "llm_call"), None)
        if step.step_type == "conclusion":
            return replace(step, data={"content": (asked.data.get("response") or "") if asked else "", "is_final": True, **data})
        state = advance(start(), asked) if asked else start()
        call = state.call(data.get("call_id", ""))
        return replace(step, data={**data, "arguments": call.arguments if call else None})
    return step


def needs(steps: Iterable[Step]) -> list[int]:
    """Return the sequences of the steps outside `steps` that `expand(..., with_messages=False, before=…)` wants."""
    steps = list(steps)
    here = {step.sequence for step in steps}
    wanted: set[int] = set()
    for step in steps:
        if step.step_type == "llm_call" and "messages" not in step.data:
            wanted.add(0)
        if step.step_type in ("tool_call", "conclusion"):
            wanted.update(n for n in (sequence_of(step.trace_id, parent) for parent in step.parent_ids) if n is not None)
    return sorted(wanted - here)


def continues_of(steps: Iterable[Step]) -> tuple[str, int] | None:
    """Return (trace id, last sequence) of the run whose messages this one continues."""
    for step in steps:
        if step.step_type == "input":
            place = step.data.get("continues")
            if isinstance(place, dict) and isinstance(place.get("trace_id"), str) and isinstance(place.get("sequence"), int):
                return place["trace_id"], place["sequence"]
            return None
    return None


def final_messages(state: RunState) -> Messages:
    """Return the messages with which a later run of the conversation begins."""
    return Messages().plus(*history(state)) if state.turn else state.messages
