"""People decide: what waits for them, and their word on it as a step that any process may append."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import agent.models.payloads as said
from agent.clock import now
from agent.core.fold import advance, fold, start
from agent.core.redact import Redactor
from agent.core.state import CallState, RunState
from agent.engine.engine import Engine
from agent.engine.log import as_trace_log, head_below, head_of, is_to_be_learnt
from agent.errors import (
    AlreadyDecided,
    ApprovalExpired,
    BadInput,
    HashMismatch,
    InDoubt,
    NotEditable,
    NotInDoubt,
    NotPending,
    RunError,
    SequenceTaken,
    StoreError,
    ToolArgumentsInvalid,
    TraceNotFound,
)  # fmt: skip
from agent.models.approval import Approval, Asker
from agent.models.digest import canonical_hash
from agent.models.payloads import payload_of, step_of
from agent.models.trace import Step, Trace
from agent.models.value import replace
from agent.storage.protocols import TraceHead, TraceLog
from agent.tools.arguments import parse_arguments
from agent.tools.invoke import to_text
from agent.tools.registry import ToolRegistry

Word: TypeAlias = said.ApprovalDecided | said.InDoubtResolved
"""What a person says of a waiting call."""

TAIL = 16  # steps of a run that are read first to find its open turn
OF_A_TURN = frozenset(
    {
        "llm_call", "tool_started", "tool_call", "approval_requested", "approval_decided", "in_doubt", "in_doubt_resolved", "subrun",
        "paused", "failure", "cancelled",
    }
)  # fmt: skip
VERDICTS = ("approve", "edit", "reject", "respond")
OUTCOMES = ("done", "not_done", "retry")
MAX_TEXT_CHARS = 100_000  # of a reason, a response or a result that a person gives


async def pending(engine: Engine, *, uid: str | None, trace_id: str | None) -> list[Approval]:
    """Return what waits for a person, oldest run first; calls in doubt stay here until they are resolved.

    Of one trace also what waits in the runs that carry out its calls.
    """
    log = as_trace_log(engine.store, "list what waits")
    if trace_id is not None:
        return await _waiting_in(log, (await head_of(log, trace_id, uid)).trace, is_deep=True)
    running = await log.list_traces(uid=uid, status="running")  # some calls may wait while others run
    resting = await log.list_traces(uid=uid, is_waiting=True)
    traces = list({trace.trace_id: trace for trace in (*running, *resting)}.values())
    found: list[Approval] = []
    for trace in sorted(traces, key=lambda t: (t.created_at, t.trace_id)):
        found += await _waiting_in(log, trace, is_deep=False)
    return found


async def _open_turn(log: TraceLog, trace: Trace) -> list[Step]:
    """Return the steps that say what a run waits for: its first, and those from the last model call on; all of them where others could matter."""
    if trace.fork_at is None:
        after = (await log.head(trace.trace_id)).next_sequence - 1 - TAIL
        while after > 0:
            steps = await log.read_steps(trace.trace_id, after=after)
            place = next((n for n in range(len(steps) - 1, -1, -1) if steps[n].step_type == "llm_call"), None)
            if place is not None:
                if not all(step.step_type in OF_A_TURN for step in steps[place:]):
                    break
                return [*await log.read_steps(trace.trace_id, limit=1), *steps[place:]]
            after -= 8 * TAIL
    return await log.read_steps(trace.trace_id)


async def _waiting_in(log: TraceLog, trace: Trace, *, is_deep: bool) -> list[Approval]:
    steps = await _open_turn(log, trace)
    state, asked_at = fold(steps), {step.step_id: step.created_at for step in steps}
    waiting, found = set(state.waiting_calls), list[Approval]()
    for call in state.turn:
        if call.subrun is not None and call.result is None and is_deep:
            with contextlib.suppress(TraceNotFound):  # named, and not begun yet
                found += await _waiting_in(log, (await head_below(log, trace, call.call.call_id, call.subrun.trace_id)).trace, is_deep=True)
        if call.call.call_id in waiting and not call.is_suspended:  # what waits of a suspended call waits in its own run
            item = _item(trace, state, call, asked_at)
            if call.doubt is None and state.is_unknown(call):  # its owner has not wound up yet, or never will
                item = replace(item, worker=(await log.head(trace.trace_id)).owner)
            found.append(item)
    return found


def _item(trace: Trace, state: RunState, call: CallState, asked_at: Mapping[str, datetime]) -> Approval:
    request, is_unknown = call.request, state.is_unknown(call)
    expires = request.expires_at if request is not None and not is_unknown else None
    return Approval(
        trace_id=trace.trace_id,
        call_id=call.call.call_id,
        tool_name=call.call.name,
        arguments=call.arguments,
        args_hash=request.args_hash if request is not None else canonical_hash(call.arguments),
        reason="in_doubt" if is_unknown or request is None else request.reason,
        detail=call.doubt.detail if call.doubt is not None else request.detail if request is not None else None,
        editable_params=tuple(request.editable_params) if request is not None and not is_unknown else (),
        asked_at=call.started_at if is_unknown or request is None else asked_at.get(call.request_id or ""),
        expires_at=datetime.fromtimestamp(expires, UTC) if expires is not None else None,
        uid=trace.uid,
        attempt=max(call.attempt, 1),
        worker=call.doubt.worker if call.doubt is not None else None,
        verdict=call.decision.verdict if call.decision is not None else None,
        decided_by=call.decision.by if call.decision is not None else None,
        asked_by=_askers(state.input.asked_by) if state.input is not None else (),
    )


def _askers(chain: Sequence[Mapping[str, Any]]) -> tuple[Asker, ...]:
    """Return the calls that led to a run, as its first step names them."""
    texts = [{name: value for name, value in link.items() if isinstance(value, str)} for link in chain]
    return tuple(
        Asker(trace_id=t.get("trace_id", ""), call_id=t.get("call_id", ""), tool_name=t.get("tool_name", ""), agent_type=t.get("agent_type")) for t in texts
    )


async def decide_call(engine: Engine, trace_id: str, decision: said.ApprovalDecided, *, args_hash: str | None, uid: str | None) -> Approval:
    """Append a person's decision on one waiting call and return it. The first one wins; nothing runs by it here.

    Raises:
        TraceNotFound, NotPending, AlreadyDecided, InDoubt, ApprovalExpired, HashMismatch, NotEditable, BadInput: it does not
            stand, and nothing was recorded (but for the expiry).
    """
    decision = _checked(decision, engine.shop.redactor)

    def build(state: RunState, steps: list[Step]) -> Word:
        """Return the decision that stands for the run as it is."""
        call = _open_call(trace_id, decision.call_id, state, steps)
        if state.is_unknown(call):
            raise InDoubt(f"call {decision.call_id} of trace {trace_id} is in doubt: say what became of it with resolve(done | not_done | retry)")
        if call.decision is not None:
            raise _decided_already(trace_id, call.decision)
        request = call.request
        if call.subrun is not None:
            raise NotPending(f"call {decision.call_id} of trace {trace_id} is carried out by the run {call.subrun.trace_id}: decide what waits there (pending)")
        if request is None or state.status == "cancelled":
            raise NotPending(f"call {decision.call_id} of trace {trace_id} does not wait for a decision")
        if request.expires_at is not None and request.expires_at <= now().timestamp():
            return said.ApprovalDecided(call_id=decision.call_id, verdict="expired", args_hash=request.args_hash)
        if args_hash is not None and args_hash != request.args_hash:
            raise HashMismatch(f"call {decision.call_id} of trace {trace_id} asks for other arguments than those decided on: look at it again (pending)")
        if decision.verdict in ("approve", "edit"):
            _check_tool(engine.shop.tools, call, request)
        merged = _edited(engine.shop.tools, call, request, decision, engine.shop.redactor) if decision.verdict == "edit" else None
        return replace(decision, arguments=merged, args_hash=request.args_hash)

    item = await _append(engine, trace_id, build, uid)
    if item.verdict == "expired":
        raise ApprovalExpired(f"call {decision.call_id} of trace {trace_id} expired before it was decided; it will not run")
    return item


def _checked(decision: said.ApprovalDecided, redactor: Redactor) -> said.ApprovalDecided:
    if decision.verdict not in VERDICTS:
        raise BadInput(f"verdict {decision.verdict!r} does not exist: give one of {', '.join(VERDICTS)}")
    if decision.verdict == "respond" and not isinstance(decision.text, str):
        raise BadInput("respond needs text=: what the model is told instead of the tool's result")
    if decision.verdict == "edit" and not isinstance(decision.arguments, dict):
        raise BadInput("edit needs arguments=: the parameters that change, with their new values")
    if decision.verdict != "edit" and decision.arguments is not None:
        raise BadInput(f"arguments= goes with the verdict 'edit', not with {decision.verdict!r}")
    for text in (decision.reason, decision.text):
        if text is not None and (not isinstance(text, str) or len(text) > MAX_TEXT_CHARS):
            raise BadInput(f"reason and text must be text of at most {MAX_TEXT_CHARS} characters")
    redacted = {name: redactor.text(value) for name in ("reason", "text") if (value := getattr(decision, name)) is not None}
    return replace(decision, **redacted)


def _check_tool(tools: ToolRegistry, call: CallState, request: said.ApprovalRequested) -> None:
    """A decision is bound to the tool as it was asked about; where this process does not know it, who runs it checks."""
    if call.call.name in tools and tools.get(call.call.name).schema_hash != request.schema_hash:
        raise HashMismatch(f"the tool {call.call.name!r} has changed since the request was made: resume the run, and it asks anew")


def _edited(tools: ToolRegistry, call: CallState, request: said.ApprovalRequested, decision: said.ApprovalDecided, redactor: Redactor) -> dict[str, Any]:
    changed = decision.arguments or {}
    forbidden = sorted(str(name) for name in set(changed) - set(request.editable_params))
    if forbidden:
        allowed = ", ".join(request.editable_params) or "none"
        raise NotEditable(f"{', '.join(forbidden)} of {call.call.name!r} may not be edited; editable: {allowed}")
    merged = {**call.arguments, **changed}
    if call.call.name in tools:
        try:
            parsed = parse_arguments(tools.get(call.call.name), merged)
        except ToolArgumentsInvalid as error:
            raise BadInput(f"the edited arguments do not fit: {error}") from error
        if parsed.was_repaired:
            raise BadInput(f"the edited arguments of {call.call.name!r} have other types than its schema: {changed!r}")
    redacted: dict[str, Any] = redactor.value(merged)
    return redacted


async def resolve_call(engine: Engine, trace_id: str, resolution: said.InDoubtResolved, *, uid: str | None) -> Approval:
    """Append a person's word on a call in doubt and return the item as it was.

    Raises:
        TraceNotFound, NotPending, NotInDoubt, AlreadyDecided, BadInput, RunError: it does not stand, and nothing was recorded.
    """
    if resolution.outcome not in OUTCOMES:
        raise BadInput(f"outcome {resolution.outcome!r} does not exist: give one of {', '.join(OUTCOMES)}")
    resolution = replace(resolution, result=engine.shop.redactor.value(resolution.result))
    if len(to_text(resolution.result)) > MAX_TEXT_CHARS:
        raise BadInput(f"the result must be at most {MAX_TEXT_CHARS} characters long: it is what the model is told")

    def build(state: RunState, steps: list[Step]) -> Word:
        """Return the word that stands for the run as it is."""
        call = _open_call(trace_id, resolution.call_id, state, steps)
        if call.resolution is not None:
            raise AlreadyDecided(f"call {resolution.call_id} of trace {trace_id} was resolved already: {call.resolution.outcome}", call.resolution)
        if not state.is_unknown(call):
            raise NotInDoubt(f"call {resolution.call_id} of trace {trace_id} is not in doubt: use decide(approve | edit | reject | respond)")
        if state.status == "cancelled" and resolution.outcome == "retry":
            raise RunError(f"trace {trace_id} was cancelled: its call cannot be tried again; say done or not_done")
        return resolution

    return await _append(engine, trace_id, build, uid)


def _open_call(trace_id: str, call_id: str, state: RunState, steps: list[Step]) -> CallState:
    call = state.call(call_id)
    if call is not None and call.result is None:
        return call
    for step in reversed(steps):
        payload = payload_of(step)
        if isinstance(payload, said.ApprovalDecided | said.InDoubtResolved) and payload.call_id == call_id:
            raise _decided_already(trace_id, payload)
    raise NotPending(f"call {call_id} of trace {trace_id} does not wait for anyone")


def _decided_already(trace_id: str, word: Word) -> AlreadyDecided:
    by = f" by {word.by}" if word.by else ""
    return AlreadyDecided(f"call {word.call_id} of trace {trace_id} was decided already: {_said(word)}{by}", word)


def _said(word: Word) -> str:
    return word.verdict if isinstance(word, said.ApprovalDecided) else word.outcome


async def _append(engine: Engine, trace_id: str, build: Callable[[RunState, list[Step]], Word], uid: str | None) -> Approval:
    """Append what `build` makes of the run as it stands; the number of the step is the lock, so the first decision wins."""
    log: TraceLog = as_trace_log(engine.store, "decide a call")
    for _ in range(engine.shop.config.max_append_attempts):
        head: TraceHead = await head_of(log, trace_id, uid)
        steps = await log.read_steps(trace_id)
        state = fold(steps, start())
        payload = build(state, steps)
        before = state.call(payload.call_id)
        assert before is not None
        sequence = state.next_sequence
        parents = [p for p in (before.request_id, state.turn_id) if p][:1]
        step = step_of(payload, trace_id, sequence, parents, at=now(), epoch=head.epoch)
        after = advance(state, step)
        try:
            changes = {"waiting_calls": len(after.waiting_calls), **({"signalled": sequence} if is_to_be_learnt(after) else {})}
            await log.add_steps(trace_id, [step], changes=changes)
        except SequenceTaken:
            continue
        if trace_id in engine.drivers:
            engine.drivers[trace_id].notice()
        item = _item(head.trace, state, before, {s.step_id: s.created_at for s in steps})
        return replace(item, verdict=_said(payload), decided_by=payload.by)
    raise StoreError(f"trace {trace_id!r}: other writers were first {engine.shop.config.max_append_attempts} times")
