"""One tool gets control, and whatever comes of it is a fact for the log."""

import asyncio
import logging
import time
from typing import Any, TypeAlias

import agent.models.payloads as said
from agent.core.calls import safe_name
from agent.core.limits import Outside
from agent.core.state import CallState
from agent.core.wording import wording
from agent.engine.begun import Ended, begin, go_on
from agent.engine.cut_results import can_read, cut_note, result_id_of
from agent.engine.planning import Plan
from agent.engine.shop import BoundState, RunNeeds, Shop
from agent.errors import ToolArgumentsInvalid, ToolFailed, ToolNotStarted, ToolTimeout
from agent.models.payloads import Payload
from agent.models.trace import Trace
from agent.tools.context import ToolContext
from agent.tools.invoke import invoke, to_text
from agent.tools.processes import ProcessLost
from agent.tools.tool import Tool

logger = logging.getLogger("agent")
Outcome: TypeAlias = list[Payload]
"""What became of one call: its result, or a doubt and what the probe said."""
MAX_ERROR_CHARS = 4_000  # of an exception's text that the model is told


def context_of(shop: Shop, trace: Trace, call: CallState, needs: RunNeeds) -> ToolContext:
    """Return what the tool may know of its call; the idempotency key is the same at every attempt."""
    call_id = call.call.call_id
    states = BoundState(shop.states, trace.uid) if shop.states is not None else None
    return ToolContext(
        trace_id=trace.trace_id,
        step_id=f"{trace.trace_id}/{call_id.partition('.')[0]}",
        call_id=call_id,
        uid=trace.uid,
        idempotency_key=f"{trace.trace_id}/{call_id}",
        attempt=call.attempt,
        state=states,
        deps=needs.deps,
    )


async def run_tool(shop: Shop, call: CallState, plan: Plan, context: ToolContext, *, language: str, worker: str | None) -> said.ToolCall | said.InDoubtStep:
    """Run a tool once and return its result, or that its outcome is unknown. Raises only when cancelled."""
    tool = plan.tool
    assert tool is not None
    began = time.perf_counter()
    try:
        arguments = plan.arguments if not tool.secrets else _with_secrets(shop, tool, plan.arguments)
        result = await _bounded(shop, tool, arguments, context)
    except ToolTimeout:
        seconds = tool.timeout_s if tool.timeout_s is not None else shop.config.tool_timeout_s
        text = wording("tool_timeout", language, seconds=seconds or 0.0)
        if tool.effect == "unsafe":
            return in_doubt(call, worker, "timeout", text)
        return settled(shop, call, plan, text, began, language, error_type="ToolTimeout")
    except ProcessLost as error:
        if tool.effect == "unsafe":
            return in_doubt(call, worker, "crash", str(error))
        return settled(shop, call, plan, str(error), began, language, error_type=type(error).__name__)
    except (ToolNotStarted, ToolArgumentsInvalid) as error:
        return settled(shop, call, plan, str(error), began, language, error_type=type(error).__name__, is_executed=False)
    except ToolFailed as error:
        return settled(shop, call, plan, str(error), began, language, error_type=type(error).__name__)
    except Exception as error:  # whatever a tool raises is a result that the model is told
        logger.debug("tool %r failed", tool.name, exc_info=not tool.secrets)
        told = f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARS]
        return settled(shop, call, plan, wording("tool_error", language, error=told), began, language, error_type=type(error).__name__)
    return settled(shop, call, plan, result, began, language)


def _with_secrets(shop: Shop, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with the secrets in the place of their references; they go to the tool and nowhere else."""
    missing: set[str] = set()
    revealed: dict[str, Any] = shop.redactor.revealed(arguments, tool.secrets, missing)
    if missing:
        names = ", ".join(sorted(missing))
        raise ToolNotStarted(f"the tool {tool.name!r} was not started: there is no secret {names} here; set it in the environment or in AgentConfig.secrets")
    return revealed


async def _bounded(shop: Shop, tool: Tool, arguments: dict[str, Any], context: ToolContext) -> Any:
    """Return what the tool returned, within its own time or the default one.

    A tool that names its time runs in a task of its own and is left behind when it ignores its end. An async tool under the
    default only is awaited in this very task, which spares three rounds of the loop for every call.
    """
    default_s = shop.config.tool_timeout_s
    if tool.timeout_s is not None or not tool.is_async or default_s is None:
        return await invoke(tool, arguments, context, default_timeout_s=default_s)
    running = invoke(tool, arguments, context, default_timeout_s=None)
    first = begin(running)
    if type(first) is Ended:
        return first.value
    bound = asyncio.timeout(default_s)
    try:
        async with bound:
            return await go_on(running, first)
    except TimeoutError as error:
        if bound.expired():
            raise ToolTimeout(f"the tool {tool.name!r} took longer than {default_s:g} s") from error
        raise


def in_doubt(call: CallState, worker: str | None, cause: str, detail: str | None = None) -> said.InDoubtStep:
    """Return the step that says: whether this call took effect is not known."""
    return said.InDoubtStep(
        call_id=call.call.call_id,
        tool_name=safe_name(call.call.name),
        attempt=max(call.attempt, 1),
        started_at=call.started_at.timestamp() if call.started_at else None,
        worker=worker,
        cause=cause,
        detail=detail,
    )


def stopped(call: CallState, language: str, limit: Outside | None = None) -> said.ToolCall:
    """Return the step of a harmless call that was cut off by a cancel, or by a limit."""
    text = wording("cancelled", language) if limit is None else wording("limit_stopped", language, name=limit.limit, value=limit.value)
    return said.ToolCall(
        call_id=call.call.call_id,
        tool_name=safe_name(call.call.name),
        result=text,
        is_ok=False,
        error_type="Cancelled" if limit is None else "LimitReached",
        limit=limit.limit if limit is not None else None,
    )


def settled(
    shop: Shop, call: CallState, plan: Plan, result: Any, began: float, language: str, *, error_type: str | None = None, is_executed: bool = True
) -> said.ToolCall:
    """Return the step of a call that ran to its end, with its result as the model is told it."""
    text = shop.redactor.text(to_text(result))
    if call.decision is not None and call.decision.verdict == "edit":
        text = wording("edited", language, arguments=to_text(plan.arguments), result=text)
    assert plan.tool is not None
    limit = plan.tool.max_result_chars or shop.config.max_result_chars
    is_cut = len(text) > limit
    result_id = result_id_of(text) if is_cut and can_read(shop) else None
    return said.ToolCall(
        call_id=call.call.call_id,
        tool_name=safe_name(call.call.name),
        arguments=None if plan.is_as_asked else plan.arguments,
        result=text[:limit] + cut_note(text, limit, result_id, language) if is_cut else text,
        is_ok=error_type is None,
        is_executed=is_executed,
        took_s=round(time.perf_counter() - began, 6),
        full_result=text if is_cut else None,
        error_type=error_type,
        is_untrusted=plan.tool.is_untrusted and is_executed,
        result_id=result_id,
    )
