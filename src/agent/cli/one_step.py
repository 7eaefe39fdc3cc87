"""One step of a run, in full."""

import json
from typing import Any

from agent.cli.outlet import say, say_json
from agent.cli.place import Place, find_trace, opened
from agent.cli.visible import json_text, visible
from agent.errors import BadInput, StepNotFound
from agent.models.trace import Step, Trace, step_id_of
from agent.storage.protocols import TraceLog


async def show_step(place: Place, wanted: str, *, with_messages: bool, is_json: bool) -> None:
    """Print a step; with its messages, if it is a model call.

    Raises:
        BadInput: the id has another form, or the step is no model call.
        TraceNotFound, StepNotFound: there is none.
    """
    step_parts(wanted)
    async with opened(place) as store:
        trace, step = await find_step(store.traces, wanted, place.uid)
        if with_messages:
            step = await _with_messages(store.traces, trace, step, place.uid)
    if is_json:
        say_json(step.to_dict())
        return
    shown = step.to_dict()
    data = shown.pop("data")
    messages = data.pop("messages", None) if with_messages else None
    for key, value in shown.items():
        say(f"{key}: {visible(value) if isinstance(value, str) else json_text(value)}")
    say(json.dumps(data, ensure_ascii=False, indent=2, default=str))
    for message in messages or ():
        say(_message_text(message))


async def find_step(log: TraceLog, wanted: str, uid: str) -> tuple[Trace, Step]:
    """Return a run and the step that `ID/SEQ`, or a step's whole id, means.

    Raises:
        BadInput: it has another form.
        TraceNotFound, StepNotFound: there is none.
    """
    head, tail = step_parts(wanted)
    trace = await find_trace(log, head, uid)
    step_id = step_id_of(trace.trace_id, int(tail)) if tail.isascii() and tail.isdecimal() and len(tail) < 10 else tail  # noqa: PLR2004  # no sequence is longer
    try:
        return trace, await log.get_step(trace.trace_id, step_id, uid=uid)
    except StepNotFound:
        raise StepNotFound(wanted, f"`seasoned runs show` lists the steps of run {trace.trace_id} with their numbers") from None


def step_parts(wanted: str) -> tuple[str, str]:
    """Return the run's and the step's part of `ID/SEQ`.

    Raises:
        BadInput: it has another form.
    """
    head, _, tail = wanted.rpartition("/")
    if not head or not tail:
        raise BadInput(f"{wanted!r} names no step: write the run's id, a stroke and the step's number, such as last/3")
    return head, tail


async def _with_messages(log: TraceLog, trace: Trace, step: Step, uid: str) -> Step:
    if step.step_type != "llm_call":
        raise BadInput(f"step {step.sequence} is a {step.step_type}: only a model call (llm_call) has messages")
    return next(one for one in await log.get_trace_steps(trace.trace_id, uid=uid) if one.sequence == step.sequence)


def _message_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    text = content if isinstance(content, str) else json_text(content) if content is not None else ""
    calls = "".join(f"\n  asks for {json_text(call)}" for call in message.get("tool_calls") or ())
    answers = f" (answer to {message['tool_call_id']})" if "tool_call_id" in message else ""
    return f"── {message.get('role')}{answers}\n{text}{calls}"
