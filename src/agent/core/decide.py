"""What comes next: one pure decision from what has happened."""

from collections.abc import Mapping
from typing import TypeAlias

from agent.core.compact import Window, is_due
from agent.core.limits import OUTPUT_REPAIRS, Amount, Outside, broken_limit, spent_limit
from agent.core.state import CallState, RunState
from agent.models.value import Value

REPEATABLE = frozenset({"read", "idempotent", "transactional"})


class CallModel(Value, frozen=True, gc=False):
    """Ask the model. `is_final`: without tools, outside the budget, after a limit."""

    is_final: bool = False
    limit: str = ""
    value: Amount | None = None


class Compact(Value, frozen=True, gc=False):
    """Fold the oldest turns: the next prompt is near what the model takes."""


class ReadMemory(Value, frozen=True, gc=False):
    """Ask memory what it has on the task."""


class Open(Value, frozen=True, gc=False):
    """Calls that nothing has been decided about: refuse, ask a person, or begin them."""

    calls: tuple[CallState, ...]


class Settle(Value, frozen=True, gc=False):
    """Calls whose answer a person gave (rejection, response, word on a call in doubt)."""

    calls: tuple[CallState, ...]


class Begin(Value, frozen=True, gc=False):
    """Calls that may run: announce them, then run them."""

    calls: tuple[CallState, ...]


class CutOff(Value, frozen=True, gc=False):
    """Calls that a limit keeps from running."""

    calls: tuple[CallState, ...]
    limit: str
    value: Amount


class MarkInDoubt(Value, frozen=True, gc=False):
    """Calls that an owner who is gone had begun, and that may not be repeated."""

    calls: tuple[CallState, ...]


class Attend(Value, frozen=True, gc=False):
    """Calls that this owner has begun: run them, or wait for those that run."""

    calls: tuple[CallState, ...]


class Wait(Value, frozen=True, gc=False):
    """Everything that can be done without a person is done."""

    call_ids: tuple[str, ...]


class Fail(Value, frozen=True, gc=False):
    """The model's answers do not fit the output type, and it was told so often enough."""

    problem: str


class Conclude(Value, frozen=True, gc=False):
    """The last reply is the answer."""


class ReachLimit(Value, frozen=True, gc=False):
    """A limit ends the run here."""

    limit: str
    value: Amount | None = None


class Rest(Value, frozen=True, gc=False):
    """The run has ended or is to rest, with this status."""

    status: str


Action: TypeAlias = ReadMemory | CallModel | Compact | Open | Settle | Begin | CutOff | MarkInDoubt | Attend | Wait | Conclude | Fail | ReachLimit | Rest


def decide(
    state: RunState, epoch: int, effects: Mapping[str, str], slots: int = 1_000_000, window: Window | None = None, outside: Outside | None = None
) -> Action:
    """Return the next action of the owner with `epoch`.

    `effects` are the effect classes of tools by name (unknown: unsafe), `slots` how many calls may run at once, `window` what
    the model takes (None: not known, and nothing is folded), `outside` a limit that is broken and of which the log does not tell.
    """
    if state.status in ("completed", "cancelled"):
        return Rest(state.status)
    if state.status in ("paused", "failed") and state.stopped_epoch >= epoch:
        return Rest(state.status)
    if state.limit is not None:
        return Rest("limit_reached")
    if state.turn:
        return _of_turn(state, epoch, effects, slots, outside)
    if state.reply is not None:
        if state.reply.is_final_call:
            return ReachLimit(*(broken_limit(state, outside) or ("max_iterations", state.max_iterations)))
        return Conclude()
    if state.memory is None and not state.used.iterations and state.input is not None and state.input.enable_memory:
        return ReadMemory()
    return _next_call(state, window, outside)


def _next_call(state: RunState, window: Window | None, outside: Outside | None) -> Action:
    if state.rejected is not None and state.rejected.count > state.limits.get("max_output_repairs", OUTPUT_REPAIRS):
        return Fail(state.rejected.problem)
    limit = broken_limit(state, outside)
    if limit and ((not state.used.iterations and not limit[1]) or (outside is not None and outside.is_final_over)):
        return ReachLimit(*limit)
    if window is not None and is_due(state, window):
        return Compact()
    return CallModel(is_final=True, limit=limit[0], value=limit[1]) if limit else CallModel()


def _of_turn(state: RunState, epoch: int, effects: Mapping[str, str], slots: int, outside: Outside | None) -> Action:
    spent = spent_limit(state) if state.limits else None
    if len(state.turn) == 1 and slots > 0 and outside is None and spent is None and _is_untouched(state.turn[0]):  # the usual case: one call, new or begun here
        begun = state.turn[0].started_epoch
        if begun is None or begun == epoch:
            return Open(state.turn) if begun is None else Attend(state.turn)
    found: dict[str, list[CallState]] = {}
    for call in state.turn:
        if call.result is None and not call.is_waiting:
            found.setdefault(_place(call, epoch, effects), []).append(call)
    if "lost" in found:
        return MarkInDoubt(tuple(found["lost"]))
    if "answered" in found:
        return Settle(tuple(found["answered"]))
    if spent is not None and (cut := [c for c in (*found.get("ready", ()), *found.get("fresh", ())) if c.started_epoch is None]):
        return CutOff(tuple(cut), spent, state.limits[spent])
    return _kept_back(found, outside) or _going_on(found, slots) or Wait(state.waiting_calls)


def _going_on(found: Mapping[str, list[CallState]], slots: int) -> Action | None:
    mine = found.get("mine", ())
    if len(mine) < slots and "ready" in found:
        return Begin(tuple(found["ready"][: slots - len(mine)]))
    if len(mine) < slots and "fresh" in found:
        return Open(tuple(found["fresh"]))
    return Attend(tuple(mine)) if mine else None


def _is_untouched(call: CallState) -> bool:
    """Whether no person had to do with it, nothing has come of it, and no run of its own carries it out."""
    is_unanswered = call.request is None and call.doubt is None and call.resolution is None and call.decision is None
    return is_unanswered and call.result is None and call.subrun is None


def _kept_back(found: Mapping[str, list[CallState]], outside: Outside | None) -> CutOff | None:
    """Return what becomes of calls that may not begin any more."""
    cut = (*found.get("ready", ()), *found.get("fresh", ())) if outside is not None and outside.ends_calls else ()
    return CutOff(cut, outside.limit, outside.value) if outside is not None and cut else None


def _place(call: CallState, epoch: int, effects: Mapping[str, str]) -> str:
    if call.resolution is not None:
        return "ready" if call.resolution.outcome == "retry" else "answered"
    if call.started_epoch is not None:
        if call.started_epoch == epoch:
            return "mine"
        return "ready" if call.subrun is not None or effects.get(call.call.name, "unsafe") in REPEATABLE else "lost"
    if call.decision is not None:
        return "ready" if call.decision.verdict in ("approve", "edit") else "answered"
    return "fresh"


def expired_calls(state: RunState, at: float) -> tuple[CallState, ...]:
    """Return the calls whose request for a decision is over at a moment (seconds since 1970)."""
    return tuple(c for c in state.turn if c.is_waiting and not c.is_in_doubt and _is_over(c, at))


def _is_over(call: CallState, at: float) -> bool:
    request = call.request
    return request is not None and call.decision is None and request.expires_at is not None and request.expires_at <= at
