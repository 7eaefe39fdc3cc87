"""What has happened: the state after a list of steps. Pure, total, and the same however the steps are cut."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import agent.models.payloads as said
from agent.core.calls import calls_of, message_tool_call, safe_name
from agent.core.compact import Folding, folded
from agent.core.forking import forked
from agent.core.messages import Messages
from agent.core.state import Answer, CallState, Compacted, CutResult, PromptMark, Rejected, RunState, Source, Used, inherited_results, inherited_sources
from agent.core.subruns import begun_again, rolled_up, with_subrun
from agent.core.wording import wording
from agent.models.bulk import Bulk
from agent.models.message import Message, system_message, tool_message, user_message
from agent.models.payloads import PAYLOADS, UNREADABLE, read_data
from agent.models.trace import Step
from agent.models.value import replace

P = TypeVar("P", bound=said.Payload)
MAX_SOURCES = 8  # tools with untrusted results that are remembered by name
MAX_CUT = 200  # results that can be read on: the last ones
RULE = "rule:"  # before the id of an approval rule, where it is named as who decided
MAX_REFUSED = 100  # rejected requests that are remembered, so that the same one is not asked again


def start(inherited: Messages | None = None) -> RunState:
    """Return the state before any step; `inherited` are the messages of the run that this one continues."""
    return RunState(messages=inherited if inherited is not None else Messages())


def fold(steps: Iterable[Step], state: RunState | None = None) -> RunState:
    """Return the state after `steps`, which go on from `state`."""
    state = state if state is not None else start()
    with Bulk():
        for step in steps:
            state = advance(state, step)
    return state


def advance(state: RunState, step: Step, payload: said.Payload | None = None) -> RunState:
    """Return the state after one more step; `state` itself is untouched. Who has the step's payload already hands it in."""
    known = _KNOWN.get(step.step_type)
    if known is None:
        return replace(state, next_sequence=_next(state, step))
    if payload is None:
        try:
            payload = read_data(step.data, known[0])
        except UNREADABLE:  # anyone may write anything: it is part of the graph, not of the state
            return replace(state, next_sequence=_next(state, step))
    return known[1](state, step, payload)


def _next(state: RunState, step: Step) -> int:
    return state.next_sequence if state.next_sequence > step.sequence else step.sequence + 1


# ---- the beginning


def _input(state: RunState, step: Step, payload: said.Input) -> RunState:
    if payload.is_resume:
        return _raised(state, step, payload)
    messages = _answered(state).plus(*payload.messages) if payload.messages else _answered(state)
    if payload.system:
        first = messages.first
        messages = messages.with_first(system_message(payload.system), is_replacement=first is not None and first.get("role") == "system")
    if payload.task is not None:
        messages = messages.plus(user_message(payload.task))
    return replace(
        state,
        messages=messages,
        input=payload,
        input_id=step.step_id,
        turn=(),
        tip=(step.step_id,),
        max_iterations=payload.max_iterations,
        limits=_numbers(payload.limits),
        untrusted=inherited_sources(payload),
        cut=inherited_results(payload),
        next_sequence=_next(state, step),
    )


def _raised(state: RunState, step: Step, payload: said.Input) -> RunState:
    if state.status in ("completed", "cancelled"):  # it ended while its limits were being raised
        return replace(state, next_sequence=_next(state, step))
    limits = {**state.limits, **_numbers(payload.limits)}
    messages = state.messages
    last = messages.last
    has_answered = (state.limit is not None and state.iterations > 0) or (last is not None and last.get("role") == "assistant")
    if has_answered and not state.turn:
        messages = messages.plus(user_message(wording("go_on", _language(state))))
    raised = payload.max_iterations if payload.max_iterations is not None else state.max_iterations
    return replace(
        state,
        messages=messages,
        limits=limits,
        max_iterations=raised,
        limit=None,
        broken=None,
        conclusion=None,
        status="running",
        tip=(*state.tip, step.step_id),
        next_sequence=_next(state, step),
    )


def _numbers(limits: dict[str, Any]) -> dict[str, Any]:
    """Return the limits that are numbers: `add_step` takes anything."""
    return {name: bound for name, bound in limits.items() if isinstance(bound, int | float)} if limits else limits


def _memory_read(state: RunState, step: Step, payload: said.MemoryRead) -> RunState:
    messages = state.messages
    if payload.block:
        placement = state.input.memory_placement if state.input else "user"
        messages = _in_system(messages, payload.block) if placement == "system" else _before_task(messages, user_message(payload.block))
    return replace(state, messages=messages, memory=payload, tip=(*state.tip, step.step_id), next_sequence=_next(state, step))


def _before_task(messages: Messages, block: Message) -> Messages:
    """Return the messages with memory before the task; where that is not the last one, nothing is torn apart for it."""
    last = messages.last
    return messages.insert_before_last(block) if last is not None and last.get("role") == "user" else messages.with_first(block, is_replacement=False)


def _in_system(messages: Messages, block: str) -> Messages:
    first = messages.first
    if first is not None and first.get("role") == "system" and isinstance(first.get("content"), str):
        return messages.with_first(system_message(f"{first['content']}\n\n{block}"), is_replacement=True)
    return messages.with_first(system_message(block), is_replacement=False)


# ---- the loop


def _llm_call(state: RunState, step: Step, payload: said.LlmCall) -> RunState:
    before = _answered(state) if state.turn else state.messages
    if payload.is_final_call:
        before = before.plus(user_message(wording("final", _language(state))))
    calls = () if payload.is_final_call or not payload.tool_calls else calls_of(payload.tool_calls, step.sequence, before.call_ids)
    content = payload.response or ""
    message: Message = {"role": "assistant", "content": content}
    if len(calls) == 1:  # the usual case, without two more frames
        message["tool_calls"] = [message_tool_call(calls[0])]
        turn: tuple[CallState, ...] = (CallState(calls[0]),)
        message_ids: Sequence[str] = (calls[0].message_id,)
    else:
        turn = tuple([CallState(call) for call in calls])
        message_ids = [call.message_id for call in calls]
        if calls:
            message["tool_calls"] = [message_tool_call(call) for call in calls]  # once: every later prompt has it
    if payload.provider_state is not None:
        message["provider_state"] = payload.provider_state
    says_something = content or calls or payload.provider_state is not None
    changed = replace(
        state,
        messages=before.plus_reply(message, message_ids) if says_something else before,  # providers refuse an empty message
        turn=turn,
        turn_id=step.step_id,
        turn_sequence=step.sequence,
        tip=(step.step_id,),
        reply=None if calls else Answer(content, payload.is_final_call),
        used=_used(state.used, payload, len(calls)),
        prompt=PromptMark(payload.prompt_hash, before.count, payload.prompt_tokens or 0),
        next_sequence=_next(state, step),
    )
    if payload.limit is not None:
        changed = replace(changed, broken=payload.limit)
    return changed if state.stopped_epoch < 0 else replace(changed, failure=None, status=_going(state, step))


def _used(used: Used, payload: said.LlmCall, calls: int) -> Used:
    cost = payload.cost
    return Used(
        used.iterations if payload.is_final_call else used.iterations + 1,
        used.tool_calls + calls,
        used.tokens + (payload.prompt_tokens or 0) + (payload.completion_tokens or 0),
        used.cost + cost if cost else used.cost,
        used.cost_is_partial or cost is None or payload.cost_is_partial,
    )


def _answered(state: RunState) -> Messages:
    """Return the messages with an answer to every call of a turn that was left open: only a log that no driver wrote has one."""
    return state.messages.plus(*answers(state.turn, _language(state))) if state.turn else state.messages


def _going(state: RunState, step: Step) -> str:
    """Return the status once a later owner of a paused or failed run has done something."""
    return "running" if state.stopped_epoch >= 0 and state.status in ("paused", "failed") and step.epoch > state.stopped_epoch else state.status


def _with_call(state: RunState, step: Step, call_id: str, change: Callable[[CallState], CallState]) -> RunState:
    turn = tuple([change(c) if c.call.call_id == call_id and c.result is None else c for c in state.turn])
    return replace(state, turn=turn, next_sequence=_next(state, step))


def _begun(c: CallState, step: Step, payload: said.ToolStarted) -> CallState:
    started = CallState(c.call, step.epoch, step.created_at, payload.attempt, c.request, c.request_id, c.decision)
    return started if c.subrun is None else begun_again(started, c.subrun)


def _tool_started(state: RunState, step: Step, payload: said.ToolStarted) -> RunState:
    turn = state.turn
    if len(turn) == 1 and turn[0].call.call_id == payload.call_id and turn[0].result is None:  # the usual case, without a walk
        after = replace(state, turn=(_begun(turn[0], step, payload),), next_sequence=_next(state, step))
    else:
        after = _with_call(state, step, payload.call_id, lambda c: _begun(c, step, payload))
    return after if state.stopped_epoch < 0 else replace(after, status=_going(state, step))


def _tool_call(state: RunState, step: Step, payload: said.ToolCall) -> RunState:
    text = payload.result if isinstance(payload.result, str) else "" if payload.result is None else str(payload.result)
    turn = state.turn
    if len(turn) == 1 and turn[0].call.call_id == payload.call_id and turn[0].result is None:  # the usual case, without a walk
        turn, is_new = (), True
        messages = state.messages.plus_reply(tool_message(state.turn[0].call.message_id, safe_name(state.turn[0].call.name), text))
    else:
        is_new = any(c.call.call_id == payload.call_id and c.result is None for c in turn)
        turn = tuple([replace(c, result=text) if c.call.call_id == payload.call_id and c.result is None else c for c in turn])
        messages = state.messages
        if is_new and all(c.result is not None for c in turn):
            messages, turn = messages.plus(*answers(turn, _language(state))), ()
    tip = (*state.tip, step.step_id) if is_new else state.tip
    after = replace(state, messages=messages, turn=turn, tip=tip, next_sequence=_next(state, step))
    if payload.result_id is not None and is_new:
        after = replace(after, cut=(*after.cut, CutResult(payload.result_id, step.sequence))[-MAX_CUT:])
    if payload.usage and is_new:
        after = replace(after, used=rolled_up(state.used, state.call(payload.call_id), payload.usage))
    if is_new and not payload.is_ok:
        after = replace(after, signalled=step.sequence)
    if not is_new or (payload.limit is None and not payload.is_untrusted):
        return after
    return _tainted(after, step, payload) if payload.limit is None else _kept_back(after, payload)


def _kept_back(state: RunState, payload: said.ToolCall) -> RunState:
    used = state.used if payload.is_executed else replace(state.used, tool_calls=state.used.tool_calls - 1)
    return replace(state, broken=payload.limit, used=used)


def _tainted(state: RunState, step: Step, payload: said.ToolCall) -> RunState:
    if len(state.untrusted) >= MAX_SOURCES or any(source.tool_name == payload.tool_name for source in state.untrusted):
        return state
    return replace(state, untrusted=(*state.untrusted, Source(payload.tool_name, step.step_id, step.sequence)))


def _subrun(state: RunState, step: Step, payload: said.Subrun) -> RunState:
    call = state.call(payload.call_id)
    after = _with_call(state, step, payload.call_id, lambda c: with_subrun(c, payload))
    return after if not payload.usage or call is None or call.result is not None else replace(after, used=rolled_up(state.used, call, payload.usage))


def answers(turn: Iterable[CallState], language: str) -> list[Message]:
    """Return one tool message for every call of a turn, in order; an open call's says that it was interrupted."""
    return [tool_message(c.call.message_id, safe_name(c.call.name), c.result if c.result is not None else wording("interrupted", language)) for c in turn]


def history(state: RunState, *, is_final_call: bool = False) -> list[Message]:
    """Return the messages that a model could be given now: valid for every provider at every cut of the log."""
    messages = state.messages.to_list()
    if state.turn:
        messages += answers(state.turn, _language(state))
    if is_final_call:
        messages.append(user_message(wording("final", _language(state))))
    return messages


def _language(state: RunState) -> str:
    return state.input.language if state.input is not None else "en"


def _compaction(state: RunState, step: Step, payload: said.Compaction) -> RunState:
    used = state.used
    if payload.is_model_call:
        tokens, cost = (payload.prompt_tokens or 0) + (payload.completion_tokens or 0), payload.cost
        used = replace(used, tokens=used.tokens + tokens, cost=used.cost + (cost or 0.0), cost_is_partial=used.cost_is_partial or cost is None)
    messages, is_done = state.messages, payload.error is None
    if is_done:
        place = Folding(first=payload.first, until=payload.until, pinned=tuple(payload.pinned))
        messages = folded(messages, place, user_message(wording("compacted", _language(state), summary=payload.summary)))
    is_new = messages is not state.messages
    return replace(
        state,
        messages=messages,
        prompt=PromptMark() if is_new else state.prompt,  # the chain of fingerprints begins anew with the new prompt
        used=used,
        compacted=Compacted(used.iterations, is_done, payload.scale),
        tip=(*state.tip, step.step_id) if is_new else state.tip,
        status=_going(state, step),
        next_sequence=_next(state, step),
    )


# ---- people


def _approval_requested(state: RunState, step: Step, payload: said.ApprovalRequested) -> RunState:
    def asked(c: CallState) -> CallState:
        """Return the call opened anew, whatever came before: only the answer to this question counts."""
        return replace(c, request=payload, request_id=step.step_id, decision=None, resolution=None, started_epoch=None)

    return _with_call(state, step, payload.call_id, asked)


def _approval_decided(state: RunState, step: Step, payload: said.ApprovalDecided) -> RunState:
    after = _with_call(state, step, payload.call_id, lambda c: c if c.decision is not None or c.request is None else replace(c, decision=payload))
    after = replace(after, signalled=step.sequence)
    call = state.call(payload.call_id)
    if payload.by is not None and payload.by.startswith(RULE) and call is not None and call.request is not None and call.decision is None:
        return replace(after, ruled=(*state.ruled, payload.by.removeprefix(RULE)))
    if payload.verdict not in ("reject", "expired") or call is None or call.request is None or call.decision is not None:
        return after
    key = f"{call.request.tool_name} {call.request.args_hash}"
    return replace(after, refused=(*state.refused, key if payload.verdict == "reject" else f"expired {key}")[-MAX_REFUSED:])


def _in_doubt(state: RunState, step: Step, payload: said.InDoubtStep) -> RunState:
    return _with_call(state, step, payload.call_id, lambda c: replace(c, doubt=payload, resolution=None))


def _in_doubt_resolved(state: RunState, step: Step, payload: said.InDoubtResolved) -> RunState:
    after = _with_call(state, step, payload.call_id, lambda c: replace(c, doubt=None, resolution=payload, started_epoch=None) if state.is_unknown(c) else c)
    return replace(after, signalled=step.sequence)


# ---- endings


def _conclusion(state: RunState, step: Step, payload: said.Conclusion) -> RunState:
    content = payload.content if payload.content is not None else state.answer or ""
    status = "completed" if payload.is_final else state.status
    return replace(state, conclusion=content, output=payload.output, reply=None, status=status, next_sequence=_next(state, step))


def _output_rejected(state: RunState, step: Step, payload: said.OutputRejected) -> RunState:
    if state.reply is None or state.turn:  # no answer is there to be rejected
        return replace(state, next_sequence=_next(state, step))
    count = state.rejected.count if state.rejected is not None else 0
    return replace(
        state,
        messages=state.messages.plus(user_message(wording("output_rejected", _language(state), problem=payload.problem))),
        reply=None,
        rejected=Rejected(count + 1, payload.problem),
        signalled=step.sequence,
        tip=(*state.tip, step.step_id),
        next_sequence=_next(state, step),
    )


def _limit_reached(state: RunState, step: Step, payload: said.LimitReached) -> RunState:
    return replace(state, limit=payload, status="limit_reached", reply=None, next_sequence=_next(state, step))


def _paused(state: RunState, step: Step, payload: said.Paused) -> RunState:
    if state.status in ("completed", "cancelled"):
        return replace(state, next_sequence=_next(state, step))
    return replace(state, status="paused", stopped_epoch=step.epoch, stopped_by=payload.by, next_sequence=_next(state, step))


def _failure(state: RunState, step: Step, payload: said.Failure) -> RunState:
    used = state.used.with_unknown(payload.cost_is_partial)
    failed = replace(state, status="failed", stopped_epoch=step.epoch, failure=payload, used=used, signalled=step.sequence, next_sequence=_next(state, step))
    return failed if state.rejected is None or payload.action != "Fail" else replace(failed, rejected=None)  # a resume begins to count anew


def _cancelled(state: RunState, step: Step, payload: said.Cancelled) -> RunState:
    if state.status == "completed":
        return replace(state, next_sequence=_next(state, step))
    return replace(state, status="cancelled", stopped_by=payload.by, used=state.used.with_unknown(state.may_be_asking), next_sequence=_next(state, step))


_CHANGES: dict[str, Callable[[RunState, Step, Any], RunState]] = {
    "input": _input,
    "memory_read": _memory_read,
    "llm_call": _llm_call,
    "tool_started": _tool_started,
    "tool_call": _tool_call,
    "compaction": _compaction,
    "subrun": _subrun,
    "approval_requested": _approval_requested,
    "approval_decided": _approval_decided,
    "in_doubt": _in_doubt,
    "in_doubt_resolved": _in_doubt_resolved,
    "conclusion": _conclusion,
    "limit_reached": _limit_reached,
    "output_rejected": _output_rejected,
    "paused": _paused,
    "failure": _failure,
    "cancelled": _cancelled,
    "forked": forked,
}
_KNOWN = {name: (PAYLOADS[name], change) for name, change in _CHANGES.items()}
