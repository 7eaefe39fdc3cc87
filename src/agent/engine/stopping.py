"""Pause and cancel, from whichever process: a step on the log, which the owner of the run obeys."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.core.decide import REPEATABLE
from agent.core.fold import advance, fold, start
from agent.core.state import CallState, RunState
from agent.core.subruns import usage_of
from agent.core.telling import totals
from agent.engine.engine import Engine
from agent.engine.executing import in_doubt, stopped
from agent.engine.log import as_trace_log, head_below, head_of, is_to_be_learnt
from agent.engine.shop import Shop
from agent.errors import RunError, SequenceTaken, StoreError, TraceNotFound
from agent.models.payloads import Payload, step_of
from agent.models.trace import Step, Trace
from agent.models.value import replace
from agent.storage.protocols import TraceHead, TraceLog

Facts = list[tuple[Payload, tuple[str, ...]]]
"""Payloads, each with the steps that it rests on."""
Build = Callable[[TraceHead], tuple[Facts, dict[str, Any]]]


async def append_outside(log: TraceLog, trace_id: str, build: Build, attempts: int, uid: str | None = None) -> list[Step]:
    """Append facts to a run that someone else may be driving; returns the steps once they are on the disk."""
    for _ in range(attempts):
        head = await head_of(log, trace_id, uid)
        facts, changes = build(head)
        steps = _steps(head, facts)
        try:
            await log.add_steps(trace_id, steps, changes=changes or None)
        except SequenceTaken:
            continue
        return steps
    raise StoreError(f"trace {trace_id!r}: other writers were first {attempts} times")


def _steps(head: TraceHead, facts: Facts) -> list[Step]:
    trace_id, first, at = head.trace.trace_id, head.next_sequence, now()
    return [step_of(payload, trace_id, first + n, parents, at=at, epoch=head.epoch) for n, (payload, parents) in enumerate(facts)]


async def pause(engine: Engine, trace_id: str, *, by: str | None, uid: str | None = None) -> None:
    """Have a run rest at its next safe point. Returns when that is on the record; a run that rests already is left alone.

    Raises:
        RunError: the run has ended.
    """
    if _requested(engine, trace_id, said.Paused(by=by)):
        return
    with _held(engine, trace_id):
        await _record_pause(engine, as_trace_log(engine.store, "pause a run"), trace_id, by, uid)
    if trace_id in engine.drivers:
        engine.drivers[trace_id].notice()


@contextlib.contextmanager
def _held(engine: Engine, trace_id: str) -> Iterator[None]:
    """Keep the driver of a run that is driven here from appending meanwhile: a quick run would end while its log is looked at."""
    driver = engine.driver_of(trace_id)
    if driver is None or driver.held is not None:
        yield
        return
    driver.held = asyncio.Event()
    try:
        yield
    finally:
        driver.held.set()
        driver.held = None


async def _record_pause(engine: Engine, log: TraceLog, trace_id: str, by: str | None, uid: str | None) -> None:
    head = await head_of(log, trace_id, uid)
    if head.trace.status in ("paused", "waiting"):
        return
    if head.trace.status != "running":
        raise RunError(f"trace {trace_id!r} is {head.trace.status}: there is nothing to pause")

    def build(head: TraceHead) -> tuple[Facts, dict[str, Any]]:
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


async def cancel(engine: Engine, trace_id: str, *, by: str | None, uid: str | None = None) -> None:
    """End a run for good. Returns when that is on the record and, if it is driven here, when all it ran has stopped.

    Raises:
        RunError: the run has an answer already.
    """
    if not _requested(engine, trace_id, said.Cancelled(by=by)):
        with _held(engine, trace_id):
            await _record_cancel(engine, as_trace_log(engine.store, "cancel a run"), trace_id, by, uid)
    driver = engine.drivers.get(trace_id)
    if driver is not None and driver.task is not None:
        driver.interrupt()
        await driver.ended.wait()
    if isinstance(engine.store, TraceLog):
        await _cancel_below(engine, engine.store, trace_id, by)


async def _cancel_below(engine: Engine, log: TraceLog, trace_id: str, by: str | None) -> None:
    """Cancel the runs that carry out open calls of a cancelled run. Where nobody else will, count what they used, and settle the calls."""
    steps, trace = await log.read_steps(trace_id), (await log.head(trace_id)).trace
    ended = [step.data.get("call_id") for step in steps if step.step_type == "tool_call" and step.data.get("error_type") != "Cancelled"]
    below = {step.data.get("call_id"): str(step.data.get("trace_id")) for step in steps if step.step_type == "subrun"}
    for call_id, child_id in below.items():
        if call_id in ended:
            continue
        with contextlib.suppress(RunError, TraceNotFound):  # it has an answer already, or was never begun
            await head_below(log, trace, str(call_id), child_id)
            await cancel(engine, child_id, by=by, uid=trace.uid)
    state = fold(steps)
    left = [call for call in state.turn if call.subrun is not None and call.result is None]
    if left and not (await log.head(trace_id)).owner_is_alive:
        await _settle_below(engine, log, trace, left, state)


async def _settle_below(engine: Engine, log: TraceLog, trace: Trace, calls: Sequence[CallState], state: RunState) -> None:
    facts: Facts = []
    trace_id = trace.trace_id
    for call in calls:
        assert call.subrun is not None
        try:
            await head_below(log, trace, call.call.call_id, call.subrun.trace_id)
            usage = usage_of(fold(await log.read_steps(call.subrun.trace_id)))
        except TraceNotFound:
            usage = {}
        told = stopped(call, state.input.language if state.input is not None else "en")
        facts.append((replace(told, usage=usage), (state.turn_id,) if state.turn_id else ()))

    def build(_: TraceHead) -> tuple[Facts, dict[str, Any]]:
        """Return what the calls are settled with, and the run's totals with what was used below it."""
        after = state
        for n, (payload, _parents) in enumerate(facts):
            after = advance(after, Step(f"{trace_id}/-{n}", trace_id, payload.step_type, after.next_sequence, (), payload.to_data()))
        return facts, totals(after)

    await append_outside(log, trace_id, build, engine.shop.config.max_append_attempts)


async def _record_cancel(engine: Engine, log: TraceLog, trace_id: str, by: str | None, uid: str | None) -> None:
    head = await head_of(log, trace_id, uid)
    here = engine.driver_of(trace_id)
    state = here.state if here is not None else start()
    for _ in range(engine.shop.config.max_append_attempts):
        if head.trace.status == "cancelled":
            return
        if head.next_sequence > state.next_sequence:
            state = fold(await log.read_steps(trace_id, after=state.next_sequence - 1), state)
        facts, changes = _cancelling(engine.shop, head, state, by)
        try:
            await log.add_steps(trace_id, _steps(head, facts), changes=changes)
        except SequenceTaken:
            head = await log.head(trace_id)
            continue
        return
    raise StoreError(f"trace {trace_id!r}: other writers were first {engine.shop.config.max_append_attempts} times")


def _cancelling(shop: Shop, head: TraceHead, state: RunState, by: str | None) -> tuple[Facts, dict[str, Any]]:
    """Return the steps and changes of a cancel; without an owner, what it had begun is in doubt, but for what is known to be harmless."""
    if head.trace.status == "completed":
        raise RunError(f"trace {head.trace.trace_id!r} is completed: there is nothing to cancel")
    open_calls = state.under_way
    cancelled, after = said.Cancelled(by=by, in_flight=[call.call.call_id for call in open_calls]), (state.turn_id,) if state.turn_id else ()
    facts: Facts = [(cancelled, ())]
    changes: dict[str, Any] = {"status": "cancelled", "completed_at": now()}
    begun = [call for call in open_calls if call.subrun is None]  # the runs of agents' calls say themselves what is unknown
    unsafe = [call for call in begun if call.call.name not in shop.tools or shop.tools.get(call.call.name).effect not in REPEATABLE]
    if not head.owner_is_alive:
        after_it = advance(state, Step(f"{head.trace.trace_id}/-", head.trace.trace_id, "cancelled", state.next_sequence, (), cancelled.to_data()))
        changes.update(owner=None, **totals(after_it))
        if is_to_be_learnt(after_it):  # nobody is there to learn from it at once: the next who comes does
            changes["signalled"] = head.next_sequence
        language = state.input.language if state.input is not None else "en"
        facts += [(in_doubt(call, head.owner, "cancel") if call in unsafe else stopped(call, language), after) for call in begun]
    unknown = begun if head.owner_is_alive else unsafe  # an owner that winds up will know better
    changes["waiting_calls"] = len(unknown) + sum(1 for call in state.turn if call.is_in_doubt)
    return facts, changes


def _requested(engine: Engine, trace_id: str, payload: Payload) -> bool:
    """Have the driver of a run without a log stop by itself; return whether there is one."""
    if engine.store is not None:
        return False
    driver = engine.drivers.get(trace_id)
    if driver is None:
        raise TraceNotFound(trace_id, "it is not running here, and without a trace store nothing is recorded")
    if isinstance(payload, said.Cancelled):
        payload = replace(payload, in_flight=[call.call.call_id for call in driver.state.under_way])
    driver.request(payload)
    return True
