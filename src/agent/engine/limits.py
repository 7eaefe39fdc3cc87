"""Limits as a caller gives them: checked, and raised by a resume."""

import math
from collections.abc import Mapping
from typing import Any

import agent.models.payloads as said
from agent.core.limits import DAILY, LIMITS, OUTSIDE, WHOLE, left_of, used_of
from agent.core.state import RunState
from agent.errors import BadInput, LimitNotRaised


def checked_limits(limits: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the limits of a run by name, copied.

    Raises:
        BadInput: there is no such limit, or its value is no number that it can have.
    """
    if limits is not None and not isinstance(limits, Mapping):
        raise BadInput(f"limits must be a dict such as {{'max_iterations': 20}}, not {limits!r:.100}")
    for name, value in (limits or {}).items():
        if name not in LIMITS:
            raise BadInput(f"no limit is called {name!r}; there are: {', '.join(LIMITS)}")
        _check(name, value)
    return dict(limits or {})


def _check(name: str, value: Any) -> None:
    least = 1 if name == "max_repeated_calls" else 0
    if name in WHOLE:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 1 << 63:
            raise BadInput(f"{name} must be a whole number from {least} on, not {value!r:.100}")
    elif not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1 << 63 or not math.isfinite(value):
        raise BadInput(f"{name} must be a number from 0 on, not {value!r:.100}")


def within_limits(limits: Mapping[str, Any], caller: RunState) -> dict[str, Any]:
    """Return the limits of a run that carries out a call of another one: at most what that one has left. Its days are that one's too.

    Runs that carry out calls at the same time share what is left: else each could use all of it.
    """
    sharing = sum(1 for call in caller.turn if call.subrun is not None and call.result is None) or 1
    shares = {name: -(-left // sharing) if isinstance(left, int) else left / sharing for name, left in left_of(caller).items()}
    own = {name: min(limits.get(name, share), share) for name, share in shares.items() if name not in OUTSIDE}
    return {**limits, **own, **{name: caller.limits[name] for name in DAILY if name in caller.limits}}


def raising(trace_id: str, state: RunState, limits: Mapping[str, Any] | None, *, driven_s: float) -> said.Input | None:
    """Return the step that raises limits, or lets a run go on whose daily limit may be over; None where neither is so.

    Raises:
        LimitNotRaised: the run reached a limit that `limits` do not raise above what it has used.
    """
    reached = state.limit
    if reached is not None and (reached.limit not in DAILY or reached.value == 0):
        used = max(used_of(state, reached.limit, driven_s) or 0, reached.value or 0)
        now_is = {**state.limits, **(limits or {})}.get(reached.limit)
        if not isinstance(now_is, int | float) or now_is <= used:
            said_used = f"{used:.6g}" if isinstance(used, float) else str(used)
            raise LimitNotRaised(
                f"trace {trace_id!r} reached its limit {reached.limit}={reached.value}: give limits={{{reached.limit!r}: more than {said_used}}} to go on"
            )
    if not limits and (reached is None or reached.limit not in DAILY):
        return None
    return said.Input(limits=dict(limits or {}), max_iterations=(limits or {}).get("max_iterations"), is_resume=True)
