"""Where the steps of a run go: our own stores as they are, the seed's through an adapter, or nowhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agent.clock import now
from agent.core.messages import Messages
from agent.core.prompt import Expander
from agent.core.state import RunState
from agent.core.telling import totals
from agent.errors import TraceNotFound, Unsupported
from agent.models.trace import ENDED, Step, Trace, subrun_id_of
from agent.models.value import replace
from agent.storage.protocols import TraceHead, TraceLog, TraceStore


class RunLog(Protocol):
    """What driving a run needs of a log; `TraceLog` has all of it."""

    async def open_trace(self, trace: Trace, steps: Sequence[Step], *, only_after: str | None = None) -> None:
        """Record a new trace with its first steps."""
        ...

    async def add_steps(self, trace_id: str, steps: Sequence[Step], *, epoch: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """Append steps whole or not at all."""
        ...

    async def read_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None) -> list[Step]:
        """Return steps as recorded."""
        ...


class Unrecorded:
    """A log that keeps nothing: runs without a trace store. They cannot be resumed, watched or decided later."""

    async def open_trace(self, trace: Trace, steps: Sequence[Step], *, only_after: str | None = None) -> None:
        """Do nothing."""

    async def add_steps(self, trace_id: str, steps: Sequence[Step], *, epoch: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """Do nothing."""

    async def read_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None) -> list[Step]:
        """Return nothing."""
        return []


class PlainLog:
    """Any store with the seed's methods: one `add_step` each, with the full `messages` in every model call.

    Appends are not whole-or-nothing and not fenced there, so a run can be recorded, not resumed.
    """

    def __init__(self, store: TraceStore) -> None:
        self.store = store
        self._expanders: dict[str, Expander] = {}

    async def open_trace(self, trace: Trace, steps: Sequence[Step], *, only_after: str | None = None, inherited: Messages | None = None) -> None:
        """Record a new trace, then its steps one by one."""
        await self.store.create_trace(trace)
        self._expanders[trace.trace_id] = Expander(inherited)
        await self.add_steps(trace.trace_id, steps)

    async def add_steps(self, trace_id: str, steps: Sequence[Step], *, epoch: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """Add the steps one by one, each whole in itself; then the changes of the trace that the seed knows."""
        expander = self._expanders.setdefault(trace_id, Expander())
        for step in steps:
            whole = expander.next(step)
            data = {name: value for name, value in whole.data.items() if name != "prompt_hash"}  # bytes: no JSON, and the prompt itself is there
            await self.store.add_step(replace(whole, data=data))
        known = {k: v for k, v in (changes or {}).items() if k in ("status", "completed_at", "total_tokens", "total_cost")}
        if known:
            await self.store.update_trace(trace_id, **known)
        if known.get("status") in ENDED:
            self._expanders.pop(trace_id, None)

    async def read_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None) -> list[Step]:
        """Return the steps after a sequence, read whole."""
        steps = [step for step in await self.store.get_trace_steps(trace_id) if step.sequence > after]
        return steps[:limit]


def as_run_log(store: TraceStore | None) -> RunLog:
    """Return the log to drive runs with."""
    if store is None:
        return Unrecorded()
    return store if isinstance(store, TraceLog) else PlainLog(store)


def as_trace_log(store: TraceStore | None, wanted: str) -> TraceLog:
    """Return the store if it can do `wanted`.

    Raises:
        Unsupported: there is none, or it has only the seed's methods.
    """
    if isinstance(store, TraceLog):
        return store
    what = "without a trace store nothing is recorded" if store is None else f"{type(store).__name__} has only the seed's methods (no add_steps, claim, head …)"
    raise Unsupported(f"cannot {wanted}: {what}. Use a store of agent.open_store(...), such as sqlite:///runs.db")


async def head_of(log: TraceLog, trace_id: str, uid: str | None) -> TraceHead:
    """Return where a trace stands.

    Raises:
        TraceNotFound: there is none, or it is another uid's.
    """
    head = await log.head(trace_id)
    if uid is not None and head.trace.uid != uid:
        raise TraceNotFound(trace_id)
    return head


async def head_below(log: TraceLog, trace: Trace, call_id: str, trace_id: str) -> TraceHead:
    """Return where the run stands that carries out a call of a trace. What a step says of it is not believed: a log may come from anywhere.

    Raises:
        TraceNotFound: there is none, or it is no run of that call.
    """
    if trace_id != subrun_id_of(trace.trace_id, call_id):
        raise TraceNotFound(trace_id)
    return await head_of(log, trace_id, trace.uid)


def ending_changes(status: str, state: RunState) -> dict[str, Any]:
    """Return what the commit that ends or parks a run sets in its trace."""
    changes = {"status": status, "owner": None, "waiting_calls": len(state.waiting_calls), **totals(state)}
    if status in ENDED:
        changes["completed_at"] = now()
        if is_to_be_learnt(state):
            changes["signalled"] = state.next_sequence - 1
    return changes


def is_to_be_learnt(state: RunState) -> bool:
    """Whether a run with a memory has steps that say how something went."""
    return state.signalled >= 0 and state.input is not None and state.input.enable_memory
