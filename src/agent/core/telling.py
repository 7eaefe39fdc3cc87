"""What watchers are told: events from steps and states, the same live and later."""

from collections.abc import Callable
from typing import Any

import agent.models.payloads as said
from agent.core.limits import used_of
from agent.core.state import CallState, RunState
from agent.events import AgentEvent
from agent.models.payloads import payload_of
from agent.models.trace import Step


def tell(step: Step, state: RunState, payload: said.Payload | None = None) -> list[AgentEvent]:
    """Return the events of one step; `state` is the one after it. Endings are told by `tell_ending`."""
    teller = _TELLERS.get(step.step_type)
    if teller is None:
        return []
    if payload is None:
        payload = payload_of(step)
    if type(payload) is said.Other:
        return []
    name, data = teller(payload, state)
    if name is None:
        return []
    return [AgentEvent(name, {"trace_id": step.trace_id, "step_id": step.step_id, "sequence": step.sequence, **data})]


Told = tuple[str | None, dict[str, Any]]


def _input(payload: said.Input, _: RunState) -> Told:
    if payload.is_resume:
        return None, {}
    return "trace_started", {"task": payload.task, "agent_type": payload.agent_type}


def _memory(payload: said.MemoryRead, _: RunState) -> Told:
    data: dict[str, Any] = {
        "skills_count": payload.skills_count,
        "experiences_count": payload.experiences_count,
        "experience_ids": [e.get("experience_id") for e in payload.experiences],
    }
    if payload.error:
        data["error"] = payload.error
    if payload.advice and payload.arm == "injected":
        data["advice"] = payload.advice.get("text")
    return "memory_loaded", data


def _llm(payload: said.LlmCall, _: RunState) -> Told:
    tokens = (payload.prompt_tokens or 0) + (payload.completion_tokens or 0)
    return "llm_call_completed", {"content": payload.response or "", "tool_calls": payload.tool_calls, "tokens": tokens, "cost": payload.cost}


def _started(payload: said.ToolStarted, state: RunState) -> Told:
    call = state.call(payload.call_id)
    data: dict[str, Any] = {"tool_name": call.call.name if call else "", "arguments": call.arguments if call else {}, "call_id": payload.call_id}
    if call is not None and call.subrun is not None:
        data["subrun"] = call.subrun.trace_id
    return "tool_executing", {**data, "detail": payload.detail} if payload.detail is not None else data


def _result(payload: said.ToolCall, _: RunState) -> Told:
    return "tool_result", {"tool_name": payload.tool_name, "result": payload.result, "call_id": payload.call_id, "ok": payload.is_ok}


def _decided(payload: said.ApprovalDecided, state: RunState) -> Told:
    call = state.call(payload.call_id)
    name = call.call.name if call is not None else ""
    return "approval_decided", {"tool_name": name, "call_id": payload.call_id, "verdict": payload.verdict, "reason": payload.reason, "by": payload.by}


def _compaction(payload: said.Compaction, _: RunState) -> Told:
    folded = 0 if payload.error is not None else payload.until - payload.first - len(payload.pinned)
    tokens = (payload.prompt_tokens or 0) + (payload.completion_tokens or 0)
    data = {"messages_folded": folded, "tokens_before": payload.tokens_before, "tokens_after": payload.tokens_after, "tokens": tokens, "cost": payload.cost}
    return "compacted", {**data, "error": payload.error}


def _conclusion(payload: said.Conclusion, state: RunState) -> Told:
    return "conclusion", {"content": state.conclusion or "", "is_final": payload.is_final, "output": payload.output}


_TELLERS: dict[str, Callable[[Any, RunState], Told]] = {
    "input": _input,
    "memory_read": _memory,
    "llm_call": _llm,
    "tool_started": _started,
    "tool_call": _result,
    "approval_decided": _decided,
    "compaction": _compaction,
    "conclusion": _conclusion,
}


def totals(state: RunState) -> dict[str, Any]:
    """Return what a run has used so far."""
    return {"total_tokens": state.used.tokens, "total_cost": state.known_cost, "cost_is_partial": state.used.cost_is_partial}


def tell_ending(trace_id: str, state: RunState, status: str) -> list[AgentEvent]:
    """Return the events of a run that rests with `status`."""
    data = {"trace_id": trace_id, **totals(state)}
    if status == "waiting":
        return [awaiting(trace_id, state), AgentEvent("trace_waiting", {**data, "call_ids": list(state.waiting_calls)})]
    if status == "limit_reached":
        limit, value = (state.limit.limit, state.limit.value) if state.limit is not None else (None, None)
        return [AgentEvent("limit_reached", {**data, "limit": limit, "value": value, "used": used_of(state, limit or "")})]
    if status == "failed":
        failure = state.failure
        return [AgentEvent("trace_failed", {**data, "error": failure.error if failure else "", "error_type": failure.error_type if failure else ""})]
    if status in ("paused", "cancelled"):
        return [AgentEvent(f"trace_{status}", {**data, "by": state.stopped_by})]
    return [AgentEvent("trace_completed", data)]


def awaiting(trace_id: str, state: RunState) -> AgentEvent:
    """Return the event that asks for a person: all calls of the turn as the model made them, with flags for those that wait."""
    turn = state.turn
    data: dict[str, Any] = {
        "trace_id": trace_id,
        "step_id": state.turn_id,
        "sequence": state.turn_sequence,
        "tool_calls": [_shown(c) for c in turn],
        "confirmation_flags": [c.is_waiting for c in turn],
        "editable_params": {c.call.message_id: _editable(c) for c in turn},
        "call_ids": [c.call.call_id for c in turn],
        "reasons": [reason_of(c) for c in turn],
    }
    if suspended := {c.call.call_id: c.subrun.trace_id for c in turn if c.subrun is not None and c.is_waiting}:
        data["subruns"] = suspended
    return AgentEvent("awaiting_user_action", data)


def _editable(call: CallState) -> list[str]:
    return list(call.request.editable_params) if call.request is not None and call.is_waiting and not call.is_suspended else []


def _shown(call: CallState) -> dict[str, Any]:
    return {"id": call.call.message_id, "type": "function", "function": {"name": call.call.name, "arguments": call.call.raw_arguments}}


def reason_of(call: CallState) -> str | None:
    """Return why a call waits; None where it does not."""
    if not call.is_waiting:
        return None
    if call.is_in_doubt:
        return "in_doubt"
    return "subrun" if call.is_suspended else call.request.reason if call.request else None
