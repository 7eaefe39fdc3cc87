"""Where a fork parts from its parent: what it inherits goes on as its own, with what was changed about it."""

from collections.abc import Mapping
from typing import Any, TypeVar

import agent.models.payloads as said
from agent.core.messages import Messages
from agent.core.state import CallState, PromptMark, RunState, Used
from agent.models.message import Message, system_message, tool_message, user_message
from agent.models.payloads import UNREADABLE, MemoryRead, read_data
from agent.models.trace import Step
from agent.models.value import Value, replace

P = TypeVar("P", bound=said.Payload)
REUSABLE = ("approve", "edit")  # verdicts that let a call run once: the parent has used them, or may


class Parts(Value, frozen=True, gc=False):
    """A run's messages, taken apart."""

    system: str | None  # without memory
    earlier: list[Message]  # of the conversation before this run
    given: list[Message] | None  # by the caller; None: they are not there any more
    task: Message
    rest: list[Message]  # what came of it


def forked(state: RunState, step: Step, payload: said.Forked) -> RunState:
    """Return the state with which a fork begins. Counts of calls go on; tokens and costs are its parent's, and begin anew.

    A call that its parent had begun, or was allowed to begin, counts as not begun and not decided: a permission is used once.
    """
    changes = payload.changes
    messages = rewritten(state, changes)
    results = _results(changes)
    return replace(
        state,
        messages=messages,
        input=changed_input(state.input, changes) if state.input is not None else None,
        memory=_memory(state, changes),
        turn=tuple([_undecided(call, results) for call in state.turn]),
        tip=(*state.tip, step.step_id),
        used=Used(state.used.iterations, state.used.tool_calls),
        prompt=state.prompt if messages is state.messages else PromptMark(),
        status=state.status if state.status == "completed" else "limit_reached" if state.limit is not None else "running",
        stopped_epoch=-1,
        stopped_by=None,
        failure=None,
        next_sequence=max(state.next_sequence, step.sequence + 1),
    )


def _undecided(call: CallState, results: Mapping[str, str]) -> CallState:
    if call.result is not None:
        return replace(call, result=results.get(call.call.message_id, call.result))
    if call.doubt is not None:
        return call
    decision = None if call.decision is not None and call.decision.verdict in REUSABLE else call.decision
    resolution = None if call.resolution is not None and call.resolution.outcome == "retry" else call.resolution
    return replace(call, started_epoch=None, started_at=None, attempt=0, decision=decision, resolution=resolution, subrun=None)


def _as(kind: type[P], data: Any) -> P | None:
    try:
        return read_data(data, kind)
    except UNREADABLE:
        return None


def changed_input(asked: said.Input, changes: Mapping[str, Any]) -> said.Input:
    """Return what a fork is asked; a change that does not fit is passed over."""
    wanted = {name: changes[name] for name in ("task", "messages", "system", "model", "tools", "schemas") if name in changes}
    if not wanted:
        return asked
    view = _as(said.Input, {**asked.to_data(), **wanted})
    return view if view is not None else asked


def _memory(state: RunState, changes: Mapping[str, Any]) -> MemoryRead | None:
    if "memory" not in changes:
        return state.memory
    return _as(MemoryRead, changes["memory"] or {}) or MemoryRead()


def _results(changes: Mapping[str, Any]) -> dict[str, str]:
    """Return the edited results by the ids that their calls have in the messages."""
    given = changes.get("result")
    edits = given.values() if isinstance(given, dict) else ()
    return {
        edit["message_id"]: edit["value"] for edit in edits if isinstance(edit, dict) and all(isinstance(edit.get(k), str) for k in ("message_id", "value"))
    }


def rewritten(state: RunState, changes: Mapping[str, Any]) -> Messages:
    """Return the messages with the changes, the very same where none touches them."""
    results = _results(changes)
    parts = parts_of(state) if {"task", "messages", "system", "memory"} & changes.keys() else None
    if parts is None:
        if not results:
            return state.messages
        return Messages().plus(*[_edited(message, results) for message in state.messages])
    asked = state.input
    assert asked is not None
    changed, memory = changed_input(asked, changes), _memory(state, changes)
    block = memory.block if memory is not None else ""
    in_system = block if asked.memory_placement == "system" else ""
    system = "\n\n".join([text for text in (changed.system if "system" in changes else parts.system, in_system) if text])
    items = [
        *([system_message(system)] if system else []),
        *parts.earlier,
        *(changed.messages if "messages" in changes and parts.given is not None else parts.given or []),
        *([user_message(block)] if block and not in_system else []),
        user_message(changed.task) if "task" in changes else parts.task,
        *parts.rest,
    ]
    return Messages().plus(*[_edited(message, results) for message in items])


def _edited(message: Message, results: Mapping[str, str]) -> Message:
    text = results.get(message.get("tool_call_id", "")) if message.get("role") == "tool" and isinstance(message.get("tool_call_id"), str) else None
    return message if text is None else tool_message(message["tool_call_id"], message.get("name", ""), text)


def parts_of(state: RunState) -> Parts | None:
    """Return the messages taken apart at the task; None where it is not among them as it was given."""
    asked, items = state.input, state.messages.to_list()
    if asked is None or asked.task is None:
        return None
    task = user_message(asked.task)
    place = next((n for n in range(len(items) - 1, -1, -1) if items[n] == task), None)
    if place is None:
        return None
    head, rest = items[:place], items[place + 1 :]
    block = state.memory.block if state.memory is not None else ""
    if block and asked.memory_placement != "system" and head and head[-1] == user_message(block):
        head = head[:-1]
    given: list[Message] | None = []
    if asked.messages and head[-len(asked.messages) :] == asked.messages:
        head, given = head[: -len(asked.messages)], asked.messages
    elif asked.messages:
        given = None
    system: str | None = None
    if head and head[0].get("role") == "system" and isinstance(head[0].get("content"), str):
        system, head = _without_memory(head[0]["content"], block if asked.memory_placement == "system" else ""), head[1:]
    return Parts(system, head, given, task, rest)


def _without_memory(system: str, block: str) -> str:
    return system[: -len(block)].removesuffix("\n\n") if block and system.endswith(block) else system
