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
        return replace(step, data=_of_llm_call(step, _model_of(step, known), None))
    if step.step_type in ("tool_call", "conclusion") and ("arguments" if step.step_type == "tool_call" else "content") not in data:
        asked = next((known[i] for i in step.parent_ids if i in known and known[i].step_type == "llm_call"), None)
        if step.step_type == "conclusion":
            return replace(step, data={"content": (asked.data.get("response") or "") if asked else "", "is_final": True, **data})
        state = advance(start(), asked) if asked else start()
        call = state.call(data.get("call_id", ""))
        return replace(step, data={**data, "arguments": call.arguments if call else None})
    return step


def _model_of(step: Step, known: dict[str, Step]) -> str:
    """Return the model of the run, or the one that a fork before the step put in its place."""
    first = next((s for s in known.values() if s.step_type == "input" and not s.data.get("is_resume")), None)
    changed = {s.sequence: s.data["changes"].get("model") for s in known.values() if s.step_type == "forked" and isinstance(s.data.get("changes"), dict)}
    models = [changed[n] for n in sorted(changed) if n < step.sequence and isinstance(changed[n], str)]
    return models[-1] if models else first.data.get("model", "") if first else ""


def needs(steps: Iterable[Step], traces: Iterable[str] = ()) -> list[int]:
    """Return the sequences of the steps outside `steps` that `expand(..., with_messages=False, before=…)` wants.

    `traces` are those that the run's steps lie in, where it is a fork.
    """
    steps = list(steps)
    here = {step.sequence for step in steps}
    wanted: set[int] = set()
    for step in steps:
        if step.step_type == "llm_call" and "messages" not in step.data:
            wanted.add(0)
        if step.step_type in ("tool_call", "conclusion"):
            places = [sequence_of(trace_id, parent) for trace_id in {step.trace_id, *traces} for parent in step.parent_ids]
            wanted.update(n for n in places if n is not None)
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
