"""What becomes of a model's tool calls before anything runs: refused, asked about, or begun."""

import logging
from collections.abc import Callable
from typing import Any, Literal

import agent.models.payloads as said
from agent.clock import now
from agent.core.calls import safe_name
from agent.core.fold import RULE
from agent.core.limits import Amount
from agent.core.state import PROBE, CallState, RunState
from agent.core.wording import wording
from agent.engine.gates import gate_of
from agent.engine.offering import own_tool
from agent.engine.shop import Shop
from agent.errors import ToolArgumentsInvalid, ToolNotFound
from agent.models.digest import canonical_hash
from agent.models.value import Value
from agent.tools.arguments import Parsed, parse_arguments
from agent.tools.context import ToolContext
from agent.tools.invoke import to_text
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool

logger = logging.getLogger("agent")
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
    was_repaired: bool = False  # the arguments are what was probably meant, not what was written
    warning: str | None = None  # what a person should know of it, though nobody is asked


def plan_call(shop: Shop, state: RunState, call: CallState, context_of: Callable[[CallState], ToolContext]) -> Plan:
    """Return the plan for a call that nothing has been decided about. Never raises: what is wrong is told to the model.

    `context_of` makes what a policy or a confirmation rule may know of the call.
    """
    asked = state.input
    assert asked is not None
    name, language = call.call.name, asked.language
    offered = asked.tools or []
    own = own_tool(shop, state, name)
    try:
        tool = own or shop.tools.get(name)
    except ToolNotFound:
        return _refuse(_missing("unknown_tool", name, offered, language), "ToolNotFound")
    if name not in offered and own is None:
        return _refuse(_missing("not_offered", name, offered, language), "ToolRefused")
    if call.call.position >= shop.config.max_tool_calls_per_turn:
        return _refuse(wording("tool_error", language, error=f"more than {shop.config.max_tool_calls_per_turn} calls in one turn"), "ToolRefused")
    if tool.agent is not None and len(asked.asked_by) >= shop.config.max_agent_depth:
        return _refuse(wording("agent_depth", language, name=name, depth=shop.config.max_agent_depth), "ToolRefused")
    try:
        parsed = parse_arguments(tool, call.call.raw_arguments)
    except ToolArgumentsInvalid as error:
        return _refuse(wording("bad_arguments", language, name=name, problem=str(error)), "ToolArgumentsInvalid")
    gate = gate_of(shop, state, call, tool, parsed, context_of)
    if gate.answer == "deny":
        return _refuse(wording("denied", language, reason=gate.detail or ""), "PolicyDenied")
    if gate.answer == "ask":
        request = request_for(tool, call, parsed, gate.reason, gate.detail)
        if call.decision is None and (again := refused_before(state, request)):
            return _refuse(wording(again, language), "Rejected")
        return Plan(kind="ask", arguments=parsed.arguments, request=request, tool=tool, is_as_asked=not parsed.was_repaired, was_repaired=parsed.was_repaired)
    return Plan(kind="begin", arguments=parsed.arguments, tool=tool, is_as_asked=not parsed.was_repaired, warning=gate.detail)


def request_for(tool: Tool, call: CallState, parsed: Parsed, reason: str, detail: str | None = None) -> said.ApprovalRequested:
    """Return the question to a person, bound to these arguments and to the tool as it is now."""
    return said.ApprovalRequested(
        call_id=call.call.call_id,
        tool_name=call.call.name,
        arguments=parsed.arguments if parsed.was_repaired else None,
        reason=reason,
        args_hash=canonical_hash(parsed.arguments),
        schema_hash=tool.schema_hash,
        detail=detail,
        editable_params=list(tool.editable_params),
        expires_at=now().timestamp() + tool.expires_s if tool.expires_s is not None else None,
    )


def refused_before(state: RunState, request: said.ApprovalRequested) -> str | None:
    """Return what the model is told where exactly this request was rejected, or expired, in this run; else None."""
    key = f"{request.tool_name} {request.args_hash}"
    return "rejected_again" if key in state.refused else "expired_again" if f"expired {key}" in state.refused else None


def _refuse(message: str, error_type: str) -> Plan:
    return Plan(kind="refuse", message=message, error_type=error_type)


def _missing(key: str, name: str, offered: list[str], language: str) -> str:
    if not offered:
        return wording("no_tools", language)
    return wording(key, language, name=name[:200], offered=", ".join(offered[:SHOWN_NAMES]))


def asked_anew(call: CallState, plan: Plan, tool: Tool) -> said.ApprovalRequested | None:
    """Return the question that a call which may run has to meet after all; None where it may begin."""
    request, decision = call.request, call.decision
    if decision is not None and decision.by is not None and decision.by.startswith(RULE) and plan.request is not None:
        stands = plan.request.reason == request.reason and plan.request.detail == request.detail if request is not None else False
        if not stands:  # a rule's word does not answer what is asked for another reason by now
            return plan.request
    if decision is not None and decision.verdict == "edit" and plan.was_repaired:  # nobody could check the types of the edit when it was made
        return request_for(tool, call, Parsed(plan.arguments, was_repaired=True), "repaired_arguments", request.detail if request is not None else None)
    if decision is None:  # it was begun before, or is to be tried again: a person's word on that is consent
        return plan.request if call.resolution is None or call.resolution.by == PROBE else None
    if request is not None and tool.schema_hash != request.schema_hash:  # decided about another tool
        return request_for(tool, call, Parsed(plan.arguments, not plan.is_as_asked), request.reason, request.detail)
    return None


def stale_calls(state: RunState, tools: ToolRegistry) -> tuple[CallState, ...]:
    """Return the calls that wait for a decision about a tool which is another one by now."""
    return tuple([c for c in state.turn if c.is_waiting and not c.is_in_doubt and c.request is not None and _has_changed(c.request, tools)])


def _has_changed(request: said.ApprovalRequested, tools: ToolRegistry) -> bool:
    return request.tool_name in tools and bool(request.schema_hash) and tools.get(request.tool_name).schema_hash != request.schema_hash


def asked_again(call: CallState, plan: Plan) -> said.ApprovalRequested | said.ToolCall:
    """Return the question about the tool as it is now, in place of the one that waits; a refusal where the arguments do not fit it."""
    if plan.tool is None or call.request is None:
        return refusal(call, plan)
    return plan.request or request_for(plan.tool, call, Parsed(plan.arguments, plan.was_repaired), call.request.reason, call.request.detail)


def started(call: CallState, plan: Plan) -> said.ToolStarted:
    """Return the announcement of a call that may run."""
    if plan.warning is not None:
        logger.warning("unsafe call %s of %r %s", call.call.call_id, call.call.name, plan.warning)
    return said.ToolStarted(call_id=call.call.call_id, attempt=call.attempt + 1, detail=plan.warning)


def refusal(call: CallState, plan: Plan) -> said.ToolCall:
    """Return the step of a call that never ran."""
    return said.ToolCall(
        call_id=call.call.call_id, tool_name=safe_name(call.call.name), result=plan.message, is_ok=False, is_executed=False, error_type=plan.error_type
    )


def refusal_by_limit(call: CallState, limit: str, value: Amount, language: str) -> said.ToolCall:
    """Return the step of a call that a limit kept from running."""
    return said.ToolCall(
        call_id=call.call.call_id,
        tool_name=safe_name(call.call.name),
        result=wording("limit", language, name=limit, value=value),
        is_ok=False,
        is_executed=False,
        error_type="LimitReached",
        limit=limit,
    )


def refusal_of_repeat(call: CallState, text: str, *, ends_run: bool) -> said.ToolCall:
    """Return the step of a call that was made too often with the same result."""
    return said.ToolCall(
        call_id=call.call.call_id,
        tool_name=safe_name(call.call.name),
        result=text,
        is_ok=False,
        is_executed=False,
        error_type="Repeated",
        limit="max_repeated_calls" if ends_run else None,
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
