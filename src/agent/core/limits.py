"""Limits by name: which there are, which one is broken, what is left of them, and how long a log says that a run was driven."""

from collections.abc import Iterable
from typing import TypeAlias

from agent.core.state import CallState, RunState
from agent.models.trace import Step
from agent.models.value import Value

Amount: TypeAlias = int | float

WHOLE = ("max_iterations", "max_tool_calls", "max_total_tokens", "max_repeated_calls", "max_output_repairs", "max_runs_per_day", "max_tokens_per_day")
"""Limits that are whole numbers."""
NUMBERS = ("max_cost", "max_wall_s", "max_cost_per_day")
"""Limits that may have a fraction: USD, seconds, USD."""
LIMITS = WHOLE + NUMBERS
"""The limits that a run can have."""
OUTPUT_REPAIRS = 2
"""How often a model is told that its answer does not fit the output type, where a run says nothing else."""
DAILY = ("max_runs_per_day", "max_tokens_per_day", "max_cost_per_day")
"""Limits on all runs of a uid on one day (UTC)."""
OUTSIDE = ("max_wall_s", *DAILY)
"""Limits of which the log alone does not tell whether they are broken."""
_OF_PEOPLE = frozenset({"approval_decided", "in_doubt_resolved", "feedback", "memory_write", "paused", "cancelled"})  # appended while nobody drives


class Outside(Value, frozen=True, gc=False):
    """A broken limit that the log alone does not show: time, or what a uid used today."""

    limit: str
    value: Amount
    ends_calls: bool = False  # calls that run are stopped, others are not begun
    is_final_over: bool = False  # the final answer did not come in its time either


def broken_limit(state: RunState, outside: Outside | None = None) -> tuple[str, Amount | None] | None:
    """Return the limit that forbids another model call, with its value (None: the default of the configuration)."""
    used = state.used
    if state.max_iterations is not None and used.iterations >= state.max_iterations:
        return "max_iterations", state.max_iterations
    if state.broken is not None:
        return state.broken, state.limits.get(state.broken)
    if state.limits and (name := _used_up(state)) is not None:
        return name, state.limits[name]
    return (outside.limit, outside.value) if outside is not None else None


def spent_limit(state: RunState) -> str | None:
    """Return the limit on tokens or cost that is used up: nothing that could cost more begins any more."""
    used, limits = state.used, state.limits
    spent = (("max_total_tokens", used.tokens), ("max_cost", used.cost))
    return next((name for name, amount in spent if name in limits and amount >= limits[name]), None)


def _used_up(state: RunState) -> str | None:
    if (spent := spent_limit(state)) is not None:
        return spent
    used, limits = state.used, state.limits
    bound = limits.get("max_tool_calls")
    if bound is not None and (bound == 0 or used.tool_calls > bound):
        return "max_tool_calls"
    return next((name for name in OUTSIDE if limits.get(name) == 0), None)


def calls_beyond(state: RunState, fresh: Iterable[CallState]) -> tuple[CallState, ...]:
    """Return those of the calls that nothing was decided about that are more than `max_tool_calls`: the last ones."""
    bound = state.limits.get("max_tool_calls")
    excess = state.used.tool_calls - bound if bound is not None else 0
    return tuple(sorted(fresh, key=lambda c: c.call.position)[-excess:]) if excess > 0 else ()


def used_of(state: RunState, name: str, driven_s: float | None = None) -> Amount | None:
    """Return how much of a limit on one run is used up; None for one that is not counted in the state."""
    used = state.used
    amounts: dict[str, Amount | None] = {
        "max_iterations": used.iterations,
        "max_tool_calls": used.tool_calls,
        "max_total_tokens": used.tokens,
        "max_cost": used.cost,
        "max_wall_s": driven_s,
    }
    return amounts.get(name)


def left_of(state: RunState, driven_s: float = 0.0) -> dict[str, Amount]:
    """Return what is left of the limits that a run has on tool calls, tokens, cost and time: never less than 0."""
    names = ("max_tool_calls", "max_total_tokens", "max_cost", "max_wall_s")
    return {name: max(0, state.limits[name] - (used_of(state, name, driven_s) or 0)) for name in names if name in state.limits}


def driven_s(steps: Iterable[Step]) -> float:
    """Return for how many seconds a run was driven, as its log tells: from the first to the last step of each of its owners.

    What a step of a person waited does not count, nor what passed between two owners; the time between the last step of
    an owner who was killed and its death is not known. A step's own `took_s` counts where it is an owner's first.
    """
    total, last, epoch = 0.0, None, None
    for step in steps:
        if step.step_type in _OF_PEOPLE:
            continue
        at = step.created_at.timestamp()
        gap = 0.0 if last is None else max(0.0, at - last)
        if step.epoch != epoch:
            took_s = step.data.get("took_s")
            gap = min(gap, float(took_s)) if isinstance(took_s, int | float) and took_s > 0 else 0.0
        total, last, epoch = total + gap, at, step.epoch
    return total
