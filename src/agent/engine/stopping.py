"""Pause and cancel, from whichever process: a step on the log, which the owner of the run obeys."""

from collections.abc import Callable
from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.core.fold import fold
from agent.core.state import RunState
from agent.engine.engine import Engine
from agent.engine.executing import in_doubt
from agent.engine.log import as_trace_log, head_of
from agent.errors import RunError, SequenceTaken, StoreError, TraceNotFound
from agent.models.payloads import Payload
from agent.models.trace import Step, step_id_of
from agent.storage.protocols import TraceHead, TraceLog

Build = Callable[[TraceHead], tuple[list[tuple[Payload, tuple[str, ...]]], dict[str, Any]]]


async def append_outside(log: TraceLog, trace_id: str, build: Build, attempts: int, uid: str | None = None) -> list[Step]:
    """Append facts to a run that someone else may be driving; returns the steps once they are on the disk."""
    for _ in range(attempts):
        head = await head_of(log, trace_id, uid)
        facts, changes = build(head)
        first, at = head.next_sequence, now()
        steps = [
            Step(step_id_of(trace_id, first + n), trace_id, payload.step_type, first + n, parents, payload.to_data(), at, head.epoch)
            for n, (payload, parents) in enumerate(facts)
        ]
        try:
            await log.add_steps(trace_id, steps, changes=changes or None)
        except SequenceTaken:
            continue
        return steps
    raise StoreError(f"trace {trace_id!r}: other writers were first {attempts} times")


async def pause(engine: Engine, trace_id: str, *, by: str | None, uid: str | None = None) -> None:
    """Have a run rest at its next safe point. Returns when that is on the record; a run that rests already is left alone.

    Raises:
        RunError: the run has ended.
    """
    if _requested(engine, trace_id, said.Paused(by=by)):
        return
    log = as_trace_log(engine.store, "pause a run")
    head = await head_of(log, trace_id, uid)
    if head.trace.status in ("paused", "waiting"):
        return
    if head.trace.status != "running":
        raise RunError(f"trace {trace_id!r} is {head.trace.status}: there is nothing to pause")

    def build(head: TraceHead) -> tuple[list[tuple[Payload, tuple[str, ...]]], dict[str, Any]]:
        """Return the pause; a run without an owner rests at once."""
        if head.trace.status != "running":  # it came to rest meanwhile
            raise RunError(f"trace {trace_id!r} is {head.trace.status}: there is nothing to pause")
        return [(said.Paused(by=by), ())], {} if head.owner_is_alive else {"status": "paused", "owner": None}

    try:
        await append_outside(log, trace_id, build, engine.shop.config.max_append_attempts)
    except RunError:
        if (await log.head(trace_id)).trace.status in ("paused", "waiting"):
            return
        raise
    if trace_id in engine.drivers:
        engine.drivers[trace_id].notice()


async def cancel(engine: Engine, trace_id: str, *, by: str | None, uid: str | None = None) -> None:
    """End a run for good. Returns when that is on the record and, if it is driven here, when all it ran has stopped.

    Raises:
        RunError: the run has an answer already.
    """
    if not _requested(engine, trace_id, said.Cancelled(by=by)):
        log = as_trace_log(engine.store, "cancel a run")
        head = await head_of(log, trace_id, uid)
        if head.trace.status == "cancelled":
            return
        here = engine.driver_of(trace_id)
        state = here.state if here is not None else fold(await log.read_steps(trace_id))  # no look at the disk, during which a quick run would end
        await append_outside(log, trace_id, lambda head: _cancelling(head, state, by), engine.shop.config.max_append_attempts)
    driver = engine.drivers.get(trace_id)
    if driver is not None and driver.task is not None:
        driver.interrupt()
        await driver.ended.wait()


def _cancelling(head: TraceHead, state: RunState, by: str | None) -> tuple[list[tuple[Payload, tuple[str, ...]]], dict[str, Any]]:
    """Return the steps and changes of a cancel; without an owner, what it had begun is in doubt."""
    if head.trace.status == "completed":
        raise RunError(f"trace {head.trace.trace_id!r} is completed: there is nothing to cancel")
    begun = [call for call in state.turn if call.result is None and call.started_epoch is not None and not call.is_in_doubt]
    facts: list[tuple[Payload, tuple[str, ...]]] = [(said.Cancelled(by=by, in_flight=[call.call.call_id for call in begun]), ())]
    unknown = len(begun) + sum(1 for call in state.turn if call.is_in_doubt)  # an owner that winds up will know better
    changes: dict[str, Any] = {"status": "cancelled", "completed_at": now(), "waiting_calls": unknown}
    if not head.owner_is_alive:
        changes["owner"] = None
        facts += [(in_doubt(call, head.owner, "cancel"), (state.turn_id,) if state.turn_id else ()) for call in begun]
    return facts, changes


def _requested(engine: Engine, trace_id: str, payload: Payload) -> bool:
    """Have the driver of a run without a log stop by itself; return whether there is one."""
    if engine.store is not None:
        return False
    driver = engine.drivers.get(trace_id)
    if driver is None:
        raise TraceNotFound(trace_id, "it is not running here, and without a trace store nothing is recorded")
    driver.request(payload)
    return True
