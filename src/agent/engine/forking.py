"""A fork: a run that goes on from a step of another as if it had gone otherwise there."""

from collections.abc import Mapping, Sequence
from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.core.decide import Rest, Wait, decide
from agent.core.fold import advance, fold, start
from agent.core.prompt import continues_of
from agent.core.state import RunState
from agent.engine.engine import Engine
from agent.engine.fork_changes import checked_fork_changes
from agent.engine.log import as_trace_log, head_of
from agent.engine.parted import Parted, is_unsafe, parted, told_of
from agent.errors import BadInput, Unsupported
from agent.ids import new_id
from agent.models.message import task_text
from agent.models.payloads import Payload, step_of
from agent.models.trace import ENDED, Step, Trace
from agent.models.value import replace
from agent.storage.protocols import TraceHead, TraceLog


async def fork(engine: Engine, trace_id: str, at: int, changes: Mapping[str, Any], *, uid: str | None) -> str:
    """Record a run that inherits the steps of another up to `at`, with changes, and return its id. It rests until it is resumed.

    Raises:
        TraceNotFound: there is none.
        BadInput: there is no such step, or a change that does not fit.
        ToolNotFound: one of the tools is not registered here.
        Unsupported: the run is none that can be resumed.
    """
    log = as_trace_log(engine.store, "fork a run")
    head = await head_of(log, trace_id, uid)
    kept = _kept(head, await log.read_steps(trace_id, limit=at + 1 if isinstance(at, int) and at >= 0 else 0), at)
    before = start(await engine.conversations.messages(log, continues_of(kept)))
    state = fold(kept, before)
    stored = await checked_fork_changes(engine.shop, kept, state, before, changes, uid=head.trace.uid)
    payload = said.Forked(trace_id=trace_id, at=at, changes=stored)
    fork_id = new_id()
    step = _step(fork_id, at + 1, payload, kept[-1].step_id)
    state = advance(state, step)
    trace = _trace(head.trace, fork_id, at, state, stored)
    asked = _asked_again(engine, state, kept, await parted(log, trace))
    steps = [step]
    for request in asked:
        steps.append(_step(fork_id, state.next_sequence, request, state.turn_id or step.step_id))
        state = advance(state, steps[-1])
    await _record(log, trace, state, steps)
    return fork_id


async def _record(log: TraceLog, trace: Trace, state: RunState, steps: Sequence[Step]) -> None:
    action = decide(state, 1, {})
    status = action.status if isinstance(action, Rest) else "waiting" if isinstance(action, Wait) else "paused"
    completed_at = now() if status in ENDED else None
    await log.open_trace(replace(trace, status=status, waiting_calls=len(state.waiting_calls), completed_at=completed_at), steps)


def _kept(head: TraceHead, steps: Sequence[Step], at: int) -> list[Step]:
    """Return the steps that the fork inherits."""
    trace_id = head.trace.trace_id
    if head.trace.mode != "agent":
        raise Unsupported(f"trace {trace_id!r} is a single call: there is nothing in it to fork, call again instead")
    kept = [step for step in steps if step.sequence <= at] if isinstance(at, int) and not isinstance(at, bool) else []
    if not kept or kept[-1].sequence != at:
        raise BadInput(f"trace {trace_id!r} has no step {at!r} to fork at: its steps are 0 to {head.next_sequence - 1}")
    if not any(step.step_type == "input" for step in kept):
        raise Unsupported(f"trace {trace_id!r} has no 'input' step up to step {at}: another runner recorded it, so it can be read but not forked")
    return kept


def _step(trace_id: str, sequence: int, payload: Payload, parent: str) -> Step:
    return step_of(payload, trace_id, sequence, (parent,), at=now())


def _trace(parent: Trace, fork_id: str, at: int, state: RunState, stored: Mapping[str, Any]) -> Trace:
    asked = state.input
    assert asked is not None
    return Trace.create(
        trace_id=fork_id,
        mode="agent",
        task=task_text(asked.task) if "task" in stored else parent.task,
        agent_type=parent.agent_type,
        uid=parent.uid,
        context={**parent.context, "model": asked.model},
        parent_trace_id=parent.trace_id,
        fork_at=at,
    )


def _asked_again(engine: Engine, state: RunState, kept: Sequence[Step], past: Parted) -> list[said.ApprovalRequested]:
    """Return the requests that wait again with other words: their time begins anew, and the parent may have made the call."""
    asked_at = {step.step_id: step.created_at.timestamp() for step in kept if step.step_type == "approval_requested"}
    again: list[said.ApprovalRequested] = []
    for call in state.turn:
        request, name = call.request, call.call.name
        if request is None or call.is_in_doubt or not call.is_waiting:
            continue
        tool = engine.shop.tools.get(name) if name in engine.shop.tools else None
        made = past.found(tool, name, call.arguments) if tool is None or is_unsafe(tool) else None
        expires_at = None if request.expires_at is None else now().timestamp() + request.expires_at - asked_at.get(call.request_id or "", request.expires_at)
        if made is not None:
            detail = told_of(made) if request.detail is None else f"{told_of(made)} {request.detail}"
            again.append(replace(request, expires_at=expires_at, reason="policy", detail=detail))
        elif expires_at is not None:
            again.append(replace(request, expires_at=expires_at))
    return again
