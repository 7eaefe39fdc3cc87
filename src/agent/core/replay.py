"""A run driven once more from its log alone: whether each step is one that had to, or could, follow. Pure; no model, no tools."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import agent.models.payloads as said
from agent.core.compact import Folding, is_safe
from agent.core.decide import Action, CallModel, Conclude, Fail, ReachLimit, ReadMemory, Rest, decide
from agent.core.fold import advance, history, start
from agent.core.limits import OUTSIDE, Outside, broken_limit
from agent.core.messages import Messages
from agent.core.state import CallState, RunState
from agent.models.digest import canonical_hash, fingerprint
from agent.models.payloads import PAYLOADS, Other, payload_of
from agent.models.trace import Step, Trace
from agent.models.value import Value, replace

ERASED = {"erased": True}  # what a store gives of a step that was made to forget what it said
ANY_EPOCH = 1 << 62  # of an owner who is newer than all that are on the log


class Replay(Value, frozen=True, kw_only=True):
    """What driving a run once more from its log came to."""

    trace_id: str
    identical: bool  # every step is one that follows from those before it
    steps: int  # how many were driven without a difference
    sequence: int | None = None  # of the first step that does not follow
    expected: str | None = None  # what follows from the steps before it
    found: str | None = None  # what the log has there
    reason: str | None = None


class Difference(Value, frozen=True, gc=False):
    """Why a step does not follow."""

    reason: str
    expected: str | None = None  # None: what is decided


Verdict: TypeAlias = Difference | None


def replay(trace: Trace, steps: Sequence[Step], inherited: Messages | None = None) -> Replay:
    """Return whether the decisions that a log holds are those that follow from it, or the first one that is not.

    `inherited` are the messages of the run that this one continues. What only a model, a tool, a person or a clock can know is
    taken from the log; what follows from it is decided anew, and so is each prompt, which must have the fingerprint on record.
    """
    if trace.mode == "call":
        return Replay(trace_id=trace.trace_id, identical=True, steps=len(steps), reason="a single model call: nothing was decided")
    state, before = start(inherited), None
    for done, step in enumerate(steps):
        found = _difference(state, before, step)
        if found is not None:
            return _report(trace, state, step, done, found)
        state, before = advance(state, step), step
    return _end(trace, state, len(steps))


def _report(trace: Trace, state: RunState, step: Step, done: int, found: Difference) -> Replay:
    expected = found.expected if found.expected is not None else told(_decided(state)) if state.input is not None else "input"
    return Replay(trace_id=trace.trace_id, identical=False, steps=done, sequence=step.sequence, expected=expected, found=_shown(step), reason=found.reason)


def _shown(step: Step) -> str:
    call_id = step.data.get("call_id")
    return f"{step.step_type} of call {call_id}" if isinstance(call_id, str) and call_id else step.step_type


def _end(trace: Trace, state: RunState, count: int) -> Replay:
    """Compare how the run ended, as the log says it, with what its trace says: what was cut off the end shows."""
    ended = {"completed": state.status, "cancelled": state.status, "failed": state.status, "limit_reached": "limit_reached" if state.limit else "running"}
    found = ended.get(trace.status, trace.status)
    if found == trace.status:
        return Replay(trace_id=trace.trace_id, identical=True, steps=count)
    return Replay(
        trace_id=trace.trace_id,
        identical=False,
        steps=count,
        sequence=state.next_sequence,
        expected=trace.status,
        found=found,
        reason="the log ends before what its trace says: steps at its end are missing, or the trace was changed",
    )


def _decided(state: RunState, outside: Outside | None = None) -> Action:
    """Return what whoever drives the run decides, stopped or not: what was under way when a stop came in is still recorded."""
    if state.status in ("paused", "failed", "cancelled"):
        state = replace(state, status="running", stopped_epoch=-1)
    return decide(state, ANY_EPOCH, {}, outside=outside)


def told(action: Action) -> str:
    """Return an action in words."""
    match action:
        case CallModel(is_final):
            return "llm_call (the last one, without tools)" if is_final else "llm_call"
        case ReadMemory():
            return "memory_read"
        case Conclude():
            return "conclusion"
        case Fail():
            return "failure (OutputInvalid)"
        case ReachLimit(limit):
            return f"limit_reached ({limit})"
        case Rest(status):
            return f"nothing: the run is {status}"
        case _:
            calls = getattr(action, "calls", None)
            ids = [call.call.call_id for call in calls] if calls is not None else list(getattr(action, "call_ids", ()))
            return f"{type(action).__name__} of call {', '.join(ids)}"


def _difference(state: RunState, before: Step | None, step: Step) -> Verdict:
    if step.sequence < state.next_sequence:
        return Difference("its number was there already", f"step {state.next_sequence}")
    if step.sequence > state.next_sequence:
        return Difference(f"the steps {state.next_sequence} to {step.sequence - 1} are missing", f"step {state.next_sequence}")
    if (before is not None and before.trace_id != step.trace_id) != (step.step_type == "forked"):
        return Difference("a fork begins with a step that says so, and with none but that", "forked" if step.step_type != "forked" else None)
    if step.data == ERASED:
        return Difference("what the step said was erased, so that what follows from it cannot be told", "what was recorded")
    if state.input is None and step.step_type != "input":
        return Difference("another runner recorded it: a run of ours begins with its input", "input")
    kind = PAYLOADS.get(step.step_type)
    if kind is None:
        return None  # of a later version: no part of what is decided here
    payload = payload_of(step)
    if isinstance(payload, Other):
        return Difference("the step cannot be read: its data do not have the form of its kind")
    rule = _RULES.get(step.step_type)
    return rule(state, before, step, payload) if rule is not None else None


# ---- the rules: what may follow a state


def _input(state: RunState, _before: Step | None, _step: Step, payload: said.Input) -> Verdict:
    return None if payload.is_resume == (state.input is not None) else Difference("a run has one input, and it comes first")


def _forked(_state: RunState, before: Step | None, step: Step, payload: said.Forked) -> Verdict:
    if before is None or step.sequence != payload.at + 1 or payload.trace_id == step.trace_id:
        return Difference(f"the fork says that it goes on from step {payload.at} of {payload.trace_id}", f"forked at step {payload.at + 1}")
    return None


def _memory_read(state: RunState, _before: Step | None, _step: Step, _payload: said.MemoryRead) -> Verdict:
    return None if isinstance(_decided(state), ReadMemory) else Difference("memory is read once, before the first model call, where it was asked for")


def _llm_call(state: RunState, _before: Step | None, _step: Step, payload: said.LlmCall) -> Verdict:
    is_outside = payload.is_final_call and payload.limit in OUTSIDE and payload.limit in state.limits  # the clock, or others of the uid, know
    action = _decided(state, Outside(payload.limit, state.limits[payload.limit]) if is_outside and payload.limit else None)
    if not isinstance(action, CallModel):
        return Difference("the model was not to be asked here")
    if action.is_final != payload.is_final_call:
        return Difference("the last call after a limit is without tools, and no other one is")
    if payload.prompt_hash and payload.prompt_hash != prompt_hash(state, is_final=payload.is_final_call):
        return Difference("the prompt that follows from the log is not the one that the model saw: an earlier step was changed", "llm_call with another prompt")
    return None


def prompt_hash(state: RunState, *, is_final: bool) -> bytes:
    """Return the fingerprint of the prompt that the model would be given now."""
    return fingerprint(state.prompt.fingerprint, *history(state, is_final_call=is_final)[state.prompt.count :])


def _compaction(state: RunState, _before: Step | None, _step: Step, payload: said.Compaction) -> Verdict:
    if not isinstance(_decided(state), CallModel):
        return Difference("the history is folded only where the model is to be asked next")
    place = Folding(first=payload.first, until=payload.until, pinned=tuple(payload.pinned))
    if payload.error is None and not is_safe(state.messages.to_list(), place):
        return Difference("what it folds would tear a call from its result, or is not there")
    return None


def _open(state: RunState, call_id: str) -> CallState | None:
    call = state.call(call_id)
    return call if call is not None and call.result is None else None


def _waits_for_a_word(call: CallState) -> bool:
    """Whether nothing can happen to a call before a person's word; one that a run carries out may go on, or end, with that run."""
    return call.is_waiting and (call.doubt is not None or not call.is_suspended)


def _tool_started(state: RunState, _before: Step | None, _step: Step, payload: said.ToolStarted) -> Verdict:
    call = _open(state, payload.call_id)
    if call is None:
        return Difference("no such call is open")
    if _waits_for_a_word(call):
        return Difference("the call waits for a person, and began all the same")
    if call.decision is not None and call.decision.verdict not in ("approve", "edit"):
        return Difference(f"a person's word on the call was {call.decision.verdict}, and it began all the same")
    if call.resolution is not None and call.resolution.outcome != "retry":
        return Difference(f"the call was resolved as {call.resolution.outcome}, and began all the same")
    return None if payload.attempt == call.attempt + 1 else Difference(f"it would be attempt {call.attempt + 1}, not {payload.attempt}")


def _tool_call(state: RunState, _before: Step | None, _step: Step, payload: said.ToolCall) -> Verdict:
    call = _open(state, payload.call_id)
    if call is None:
        return Difference("no such call is open")
    if state.status == "cancelled" and (call.is_in_doubt or call.resolution is not None):
        return None  # its owner was only thought to be dead: what it knows of a call comes late, but it comes
    if payload.is_executed and call.started_epoch is None:
        return Difference("the call ran without having been announced", f"tool_started of call {payload.call_id}")
    if _waits_for_a_word(call) and (payload.is_executed or payload.is_ok or call.is_in_doubt):  # it may be refused: its tool has changed meanwhile
        return Difference("the call waits for a person, and was settled all the same")
    return None


def _approval_requested(state: RunState, before: Step | None, _step: Step, payload: said.ApprovalRequested) -> Verdict:
    call = _open(state, payload.call_id)
    if call is None:
        return Difference("no such call is open")
    is_anew = call.request is not None and call.request.schema_hash != payload.schema_hash  # the tool is another one by now
    if call.is_waiting and not is_anew and (before is None or before.step_type not in ("forked", "approval_requested")):
        return Difference("the call waits for a person already")
    arguments = payload.arguments if payload.arguments is not None else (call if call.decision is not None else replace(call, request=None)).arguments
    if payload.args_hash and payload.args_hash != canonical_hash(arguments):
        return Difference("it asks about other arguments than those that the model gave")
    return None


def _approval_decided(state: RunState, _before: Step | None, _step: Step, payload: said.ApprovalDecided) -> Verdict:
    call = _open(state, payload.call_id)
    if call is None or call.request is None or call.decision is not None or call.is_in_doubt:
        return Difference("no such call waits for a decision")
    if payload.args_hash and payload.args_hash != call.request.args_hash:
        return Difference("the decision is on other arguments than those that were asked about")
    return None


def _in_doubt(state: RunState, _before: Step | None, _step: Step, payload: said.InDoubtStep) -> Verdict:
    call = _open(state, payload.call_id)
    return None if call is not None and call.started_epoch is not None and not call.is_in_doubt else Difference("no such call had begun")


def _in_doubt_resolved(state: RunState, _before: Step | None, _step: Step, payload: said.InDoubtResolved) -> Verdict:
    call = _open(state, payload.call_id)
    return None if call is not None and state.is_unknown(call) else Difference("no such call is in doubt")


def _subrun(state: RunState, _before: Step | None, _step: Step, payload: said.Subrun) -> Verdict:
    return None if _open(state, payload.call_id) is not None else Difference("no such call is open")


def _conclusion(state: RunState, _before: Step | None, _step: Step, payload: said.Conclusion) -> Verdict:
    wanted = Conclude if payload.is_final else ReachLimit
    if state.reply is None or not isinstance(_decided(state), wanted):
        return Difference("the run had no answer yet")
    if payload.content is not None and payload.content != state.answer:
        return Difference("the answer is not what the model said")
    return None if payload.reply is None or payload.reply == state.turn_sequence else Difference(f"the answer is that of step {state.turn_sequence}")


def _output_rejected(state: RunState, _before: Step | None, _step: Step, _payload: said.OutputRejected) -> Verdict:
    has_schema = state.input is not None and state.input.output_schema is not None
    return None if has_schema and isinstance(_decided(state), Conclude) else Difference("there was no answer whose form was to be checked")


def _limit_reached(state: RunState, before: Step | None, _step: Step, payload: said.LimitReached) -> Verdict:
    is_after_answer = before is not None and before.step_type == "conclusion" and before.data.get("is_final") is False
    if payload.limit in OUTSIDE and payload.value is not None and payload.value == state.limits.get(payload.limit) and not state.turn:
        return None
    if not is_after_answer and not isinstance(_decided(state), ReachLimit):
        return Difference("no limit was reached")
    limit, value = broken_limit(state) or ("max_iterations", state.max_iterations)
    value = payload.value if value is None else value  # a default of the configuration then
    return None if (payload.limit, payload.value) == (limit, value) else Difference("another limit was reached", f"limit_reached ({limit}={value})")


def _failure(state: RunState, _before: Step | None, _step: Step, _payload: said.Failure) -> Verdict:
    return Difference("the run had ended") if state.status == "completed" else None


_RULES: dict[str, Callable[[RunState, Step | None, Step, Any], Verdict]] = {
    "input": _input,
    "forked": _forked,
    "memory_read": _memory_read,
    "llm_call": _llm_call,
    "compaction": _compaction,
    "output_rejected": _output_rejected,
    "tool_started": _tool_started,
    "tool_call": _tool_call,
    "approval_requested": _approval_requested,
    "approval_decided": _approval_decided,
    "in_doubt": _in_doubt,
    "in_doubt_resolved": _in_doubt_resolved,
    "subrun": _subrun,
    "conclusion": _conclusion,
    "limit_reached": _limit_reached,
    "failure": _failure,
}
