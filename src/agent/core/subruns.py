"""What a run takes from the runs that carry out its calls: where they stand, and what they used, counted once."""

from collections.abc import Mapping
from typing import Any

import agent.models.payloads as said
from agent.core.state import CallState, RunState, SubrunState, Used
from agent.models.value import replace

MAX_COUNT = 2**53  # tokens, calls or dollars: what is more, or less than nothing, is no count


def usage_of(state: RunState) -> dict[str, Any]:
    """Return what a run has used in all, as the one that called it records it."""
    used = state.used
    usage: dict[str, Any] = {"tokens": used.tokens, "tool_calls": used.tool_calls, "cost": used.cost}
    return {**usage, "cost_is_partial": True} if used.cost_is_partial else usage


def rolled_up(used: Used, call: CallState | None, usage: Mapping[str, Any]) -> Used:
    """Return a run's use with all that a call's run has used; what was counted of that before is not counted again."""
    now = _read(usage)
    before = call.subrun.counted if call is not None and call.subrun is not None else Used()
    return replace(
        used,
        tokens=used.tokens + max(0, now.tokens - before.tokens),
        tool_calls=used.tool_calls + max(0, now.tool_calls - before.tool_calls),
        cost=used.cost + max(0.0, now.cost - before.cost),
        cost_is_partial=used.cost_is_partial or now.cost_is_partial,
    )


def with_subrun(call: CallState, payload: said.Subrun) -> CallState:
    """Return a call whose run stands as the step says."""
    counted = call.subrun.counted if call.subrun is not None else Used()
    return replace(call, subrun=SubrunState(payload.trace_id, payload.status, _read(payload.usage) if payload.usage else counted))


def begun_again(started: CallState, subrun: SubrunState) -> CallState:
    """Return a call that was announced, with the run that carries it out: that one goes on."""
    return replace(started, subrun=replace(subrun, status=""))


def _read(usage: Mapping[str, Any]) -> Used:
    """Return a step's account; whatever it holds, a log is read."""
    return Used(
        tokens=int(_count(usage.get("tokens"))),
        tool_calls=int(_count(usage.get("tool_calls"))),
        cost=float(_count(usage.get("cost"))),
        cost_is_partial=usage.get("cost_is_partial") is True,
    )


def _count(value: Any) -> int | float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_COUNT else 0
