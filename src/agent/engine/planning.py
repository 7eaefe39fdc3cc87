"""What becomes of a model's tool calls before anything runs: refused, asked about, or begun."""

from collections.abc import Callable
from typing import Any, Literal

import agent.models.payloads as said
from agent.clock import now
from agent.core.calls import safe_name
from agent.core.state import CallState, RunState
from agent.core.wording import wording
from agent.engine.shop import Shop
from agent.errors import ToolArgumentsInvalid, ToolNotFound
from agent.models.digest import canonical_hash
from agent.models.value import Value
from agent.tools.arguments import Parsed, needs_confirmation, parse_arguments
from agent.tools.context import ToolContext
from agent.tools.invoke import to_text
from agent.tools.tool import Tool

SHOWN_NAMES = 30  # tool names that an error lists


class Plan(Value, frozen=True, kw_only=True, gc=False):
    """What is to be done with one call. `arguments` are parsed and checked; `message` is the refusal."""

    kind: Literal["refuse", "ask", "begin"]
    arguments: dict[str, Any] = {}
    message: str = ""
    error_type: str | None = None
    request: said.ApprovalRequested | None = None
    tool: Tool | None = None
    is_as_asked: bool = True  # the arguments are what the model wrote


def plan_call(shop: Shop, state: RunState, call: CallState, context_of: Callable[[CallState], ToolContext]) -> Plan:
    """Return the plan for a call that nothing has been decided about. Never raises: what is wrong is told to the model.

    `context_of` makes what a confirmation rule may know of the call.
    """
    asked = state.input
    assert asked is not None
    name, language = call.call.name, asked.language
    offered = asked.tools or []
    try:
        tool = shop.tools.get(name)
    except ToolNotFound:
        return _refuse(_missing("unknown_tool", name, offered, language), "ToolNotFound")
    if name not in offered:
        return _refuse(_missing("not_offered", name, offered, language), "ToolRefused")
    if call.call.position >= shop.config.max_tool_calls_per_turn:
        return _refuse(wording("tool_error", language, error=f"more than {shop.config.max_tool_calls_per_turn} calls in one turn"), "ToolRefused")
    try:
        parsed = parse_arguments(tool, call.call.raw_arguments)
    except ToolArgumentsInvalid as error:
        return _refuse(wording("bad_arguments", language, name=name, problem=str(error)), "ToolArgumentsInvalid")
    context = None if isinstance(tool.requires_confirmation, bool) else context_of(call)
    reason = _reason(asked, tool, parsed, context)
    if reason is not None:
        request = request_for(tool, call, parsed, reason)
        if f"{name} {request.args_hash}" in state.refused and call.decision is None:
            return _refuse(wording("rejected_again", language), "Rejected")
        return Plan(kind="ask", arguments=parsed.arguments, request=request, tool=tool, is_as_asked=not parsed.was_repaired)
    return Plan(kind="begin", arguments=parsed.arguments, tool=tool, is_as_asked=not parsed.was_repaired)


def request_for(tool: Tool, call: CallState, parsed: Parsed, reason: str) -> said.ApprovalRequested:
    """Return the question to a person, bound to these arguments and to the tool as it is now."""
    return said.ApprovalRequested(
        call_id=call.call.call_id,
        tool_name=call.call.name,
        arguments=parsed.arguments if parsed.was_repaired else None,
        reason=reason,
        args_hash=canonical_hash(parsed.arguments),
        schema_hash=tool.schema_hash,
        editable_params=list(tool.editable_params),
        expires_at=now().timestamp() + tool.expires_s if tool.expires_s is not None else None,
    )


def _reason(asked: said.Input, tool: Tool, parsed: Parsed, context: ToolContext | None) -> str | None:
    if needs_confirmation(tool, parsed.arguments, context):
        return "confirmation"
    if not asked.auto_execute_tools:
        return "manual"
    if parsed.was_repaired and tool.effect == "unsafe":
        return "repaired_arguments"
    return None


def _refuse(message: str, error_type: str) -> Plan:
    return Plan(kind="refuse", message=message, error_type=error_type)


def _missing(key: str, name: str, offered: list[str], language: str) -> str:
    if not offered:
        return wording("no_tools", language)
    return wording(key, language, name=name[:200], offered=", ".join(offered[:SHOWN_NAMES]))


def refusal(call: CallState, plan: Plan) -> said.ToolCall:
    """Return the step of a call that never ran."""
    return said.ToolCall(
        call_id=call.call.call_id, tool_name=safe_name(call.call.name), result=plan.message, is_ok=False, is_executed=False, error_type=plan.error_type
    )


def settlement(call: CallState, language: str) -> said.ToolCall:
    """Return the step of a call whose answer a person gave."""
    call_id, name = call.call.call_id, safe_name(call.call.name)
    if call.resolution is not None:
        told = "" if call.resolution.result is None else f": {to_text(call.resolution.result)}"
        text = (
            to_text(call.resolution.result)
            if call.resolution.outcome == "done" and call.resolution.result is not None
            else wording(call.resolution.outcome, language, result=told)
        )
        return said.ToolCall(call_id=call_id, tool_name=name, result=text, is_ok=call.resolution.outcome == "done", is_executed=False)
    decision = call.decision
    assert decision is not None
    if decision.verdict == "respond":
        return said.ToolCall(call_id=call_id, tool_name=name, result=wording("responded", language, text=decision.text or ""), is_executed=False)
    if decision.verdict == "expired":
        return said.ToolCall(call_id=call_id, tool_name=name, result=wording("expired", language), is_ok=False, is_executed=False)
    why = f": {decision.reason}" if decision.reason else ""
    return said.ToolCall(
        call_id=call_id, tool_name=name, result=wording("rejected", language, reason=why), is_ok=False, is_executed=False, error_type="Rejected"
    )
