"""What was said of a run, and what showed itself in it: read from its steps, without a judgement of what that means.

A tool that merely returned, or a run that merely completed, says nothing and is no signal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from difflib import SequenceMatcher
from functools import partial
from typing import Any

import agent.models.payloads as said
from agent.core.calls import calls_of, loose_arguments
from agent.core.fold import RULE
from agent.core.state import PROBE
from agent.models.json_text import json_of
from agent.models.learning import Signal
from agent.models.payloads import payload_of
from agent.models.trace import Step
from agent.models.value import Value, replace

MAX_COMPARED_CHARS = 2_000
"""Of arguments before and after an edit, as JSON: how much was changed is told from these."""
NO_FAULT = frozenset({"Cancelled", "LimitReached", "Rejected", "VersionConflict"})
"""Errors of calls that say nothing about the tool: somebody, or a limit, or another writer stopped them."""
KINDS = frozenset({"positive", "negative", "correction"})


class CallSeen(Value, frozen=True, kw_only=True):
    """A tool call of the run."""

    call_id: str
    tool: str
    arguments: dict[str, Any]
    is_tainted: bool  # the model asked for it after it had read a stranger's words
    is_executed: bool = False
    was_changed: bool = False  # a person changed the arguments
    has_failed: bool = False


class Said(Value, frozen=True, kw_only=True):
    """One signal. `value` is how well what it is about went, 0..1; None where it does not say."""

    signal: Signal
    step_id: str
    sequence: int
    at: datetime
    value: float | None = None
    by: str | None = None
    calls: tuple[CallSeen, ...] = ()  # what it is about
    is_whole: bool = False  # it speaks of the run's answer, or of the run as a whole
    words: str = ""
    corrected: Any = None
    target_step_id: str = ""
    root_id: str = ""  # of a feedback: the first version of it
    is_asked: bool = True  # False: memory was off, or it was said not to learn from it


class FeedbackVersion(Value, frozen=True, kw_only=True):
    """A feedback, or a later version of one."""

    step: Step
    payload: said.Feedback


@dataclass(slots=True)
class RunRecord:
    """What was read of one run. Signals are in the order of the log; of each feedback only the newest version is among them."""

    trace_id: str
    calls: dict[str, CallSeen] = field(default_factory=dict)
    about: dict[str, tuple[str, ...]] = field(default_factory=dict)  # step id → call ids
    answers: set[str] = field(default_factory=set)  # step ids of answers
    sequences: dict[str, int] = field(default_factory=dict)
    feedback: dict[str, list[FeedbackVersion]] = field(default_factory=dict)  # by the first version's step id
    written: dict[str, str] = field(default_factory=dict)  # step id → id of the experience that a memory_write says came of it
    signals: list[Said] = field(default_factory=list)
    outcomes: list[Step] = field(default_factory=list)
    has_memory: bool = False  # memory was on
    language: str = "en"
    model: str = ""
    task_trust: str = "person"  # who wrote the task: a sub-agent's comes from a model
    tainted_from: int | None = None  # sequence of the first step with a stranger's words
    last: int = -1
    has_failed: bool = False
    roots: dict[str, str] = field(default_factory=dict)  # version → first version

    def newest(self, root_id: str) -> FeedbackVersion:
        """Return the version of a feedback that counts."""
        return self.feedback[root_id][-1]

    def is_tainted(self, step_id: str) -> bool:
        """Whether a step comes after a stranger's words were read."""
        return self.tainted_from is not None and self.sequences.get(step_id, self.last) >= self.tainted_from


def read_run(trace_id: str, steps: Iterable[Step]) -> RunRecord:
    """Return what steps say of a run. Steps that it inherits from the run it was forked from are known, and are no signals of its own."""
    record = RunRecord(trace_id)
    for step in steps:
        record.last = max(record.last, step.sequence)
        record.sequences[step.step_id] = step.sequence
        reader = _READERS.get(step.step_type)
        if reader is not None and isinstance(payload := payload_of(step), reader[0]):
            reader[1](record, step, payload)
    told = [one for root_id in record.feedback if (one := _of_feedback(record, root_id)) is not None]
    record.signals = sorted((*record.signals, *told, *_of_outcomes(record)), key=lambda one: one.sequence)
    record.signals = [_with_unjudged(record, one) if one.is_whole and not one.calls else one for one in map(partial(_as_it_went, record), record.signals)]
    return record


def _as_it_went(record: RunRecord, told: Said) -> Said:
    """Return an agreement to a call as one on it only once it has run and not failed: that it may run does not say that it works."""
    if told.signal not in ("approved", "edited"):
        return told
    ran = (record.calls[call.call_id] for call in told.calls)
    return replace(told, calls=tuple(call for call, later in zip(told.calls, ran, strict=True) if later.is_executed and not later.has_failed))


def _of_outcomes(record: RunRecord) -> list[Said]:
    """Return what was said of the whole run: of each person, and each scorer, the last word."""
    last: dict[tuple[str, str | None], Said] = {}
    for step in record.outcomes:
        payload = payload_of(step)
        if isinstance(payload, said.OutcomeGiven):
            signal: Signal = "score" if payload.signal == "score" else "outcome"
            value, by = payload.value, payload.by
            last[signal, by] = Said(signal=signal, step_id=step.step_id, sequence=step.sequence, at=step.created_at, value=value, by=by, is_whole=True)
    return list(last.values())


def _with_unjudged(record: RunRecord, whole: Said) -> Said:
    """Return a word on the whole run, as one on those calls of which nothing more exact had been said by then: of each tool the last."""
    if whole.signal not in ("positive", "outcome", "score"):  # that an answer was wrong does not say which tool was, nor that any was
        return whole
    judged = {call.call_id for one in record.signals if not one.is_whole and one.sequence < whole.sequence for call in one.calls}
    calls = {call.tool: call for call in record.calls.values() if call.is_executed and call.call_id not in judged}
    return replace(whole, calls=tuple(calls.values()))


# ---- the run


def _input(record: RunRecord, step: Step, payload: said.Input) -> None:
    if payload.is_resume:
        return
    record.language, record.model, record.has_memory = payload.language, payload.model, payload.enable_memory
    record.task_trust = "web" if payload.tainted_by and payload.asked_by else "model" if payload.asked_by else "person"
    if payload.tainted_by:
        record.tainted_from = step.sequence


def _llm_call(record: RunRecord, step: Step, payload: said.LlmCall) -> None:
    calls = calls_of(payload.tool_calls, step.sequence)
    for call in calls:
        known = CallSeen(call_id=call.call_id, tool=call.name, arguments=loose_arguments(call.raw_arguments), is_tainted=record.tainted_from is not None)
        record.calls[call.call_id] = known
    if calls:
        record.about[step.step_id] = tuple(call.call_id for call in calls)
    else:
        record.answers.add(step.step_id)


def _of_call(record: RunRecord, step: Step, payload: said.ToolStarted | said.InDoubtStep | said.Subrun) -> None:
    record.about[step.step_id] = (payload.call_id,)


def _tool_call(record: RunRecord, step: Step, payload: said.ToolCall) -> None:
    record.about[step.step_id] = (payload.call_id,)
    if payload.is_untrusted and record.tainted_from is None:
        record.tainted_from = step.sequence
    call = record.calls.get(payload.call_id)
    if call is None and payload.tool_name:  # a store with the seed's methods, or another program's log
        arguments = payload.arguments if isinstance(payload.arguments, dict) else {}
        call = CallSeen(call_id=payload.call_id or step.step_id, tool=payload.tool_name, arguments=arguments, is_tainted=record.tainted_from is not None)
        record.about[step.step_id] = (call.call_id,)
    if call is None:
        return
    if isinstance(payload.arguments, dict):
        call = replace(call, arguments=payload.arguments)
    record.calls[call.call_id] = call = replace(call, is_executed=payload.is_executed, has_failed=not payload.is_ok)
    if payload.is_ok or step.trace_id != record.trace_id or payload.error_type in NO_FAULT:
        return
    if payload.error_type == "Repeated":
        _hear(record, step, "repeated", calls=(call,))
    elif payload.is_executed:
        _hear(record, step, "tool_error", calls=(call,))


def _output_rejected(record: RunRecord, step: Step, payload: said.OutputRejected) -> None:
    _hear(record, step, "repaired", words=payload.problem)


def _failure(record: RunRecord, step: Step, payload: said.Failure) -> None:
    record.has_failed = True
    _hear(record, step, "failed", value=0.0, is_whole=True, words=payload.error)


def _conclusion(record: RunRecord, step: Step, payload: said.Conclusion) -> None:
    record.answers.add(step.step_id)
    if payload.is_final:  # it went on after what had failed
        record.has_failed = False
        record.signals = [one for one in record.signals if one.signal != "failed"]


# ---- people


def _approval_requested(record: RunRecord, step: Step, payload: said.ApprovalRequested) -> None:
    record.about[step.step_id] = (payload.call_id,)
    call = record.calls.get(payload.call_id)
    if call is not None and payload.arguments is not None:
        record.calls[payload.call_id] = replace(call, arguments=payload.arguments)


def _approval_decided(record: RunRecord, step: Step, payload: said.ApprovalDecided) -> None:
    record.about[step.step_id] = (payload.call_id,)
    call = record.calls.get(payload.call_id)
    if call is None or (payload.by is not None and payload.by.startswith(RULE)):  # a rule's word is a person's earlier one: counted then
        return
    words = payload.reason or ""
    if payload.verdict == "approve":
        _hear(record, step, "approved", value=1.0, by=payload.by, calls=(call,), words=words)
    elif payload.verdict == "edit" and payload.arguments is not None:
        changed = {name: value for name, value in payload.arguments.items() if name not in call.arguments or call.arguments[name] != value}
        size = edit_size(call.arguments, payload.arguments)
        record.calls[payload.call_id] = call = replace(call, arguments=payload.arguments, was_changed=True)
        _hear(record, step, "edited", value=1.0 - size, by=payload.by, calls=(call,), words=words, corrected=changed)
    elif payload.verdict == "reject":
        _hear(record, step, "rejected", value=0.0, by=payload.by, calls=(call,), words=words)


def _in_doubt_resolved(record: RunRecord, step: Step, payload: said.InDoubtResolved) -> None:
    record.about[step.step_id] = (payload.call_id,)
    call = record.calls.get(payload.call_id)
    if call is not None and payload.by != PROBE and payload.outcome in ("done", "not_done"):
        _hear(record, step, "resolved", value=1.0 if payload.outcome == "done" else 0.0, by=payload.by, calls=(call,))


def _outcome(record: RunRecord, step: Step, payload: said.OutcomeGiven) -> None:
    if step.trace_id == record.trace_id and 0.0 <= payload.value <= 1.0:
        record.outcomes.append(step)


def _feedback(record: RunRecord, step: Step, payload: said.Feedback) -> None:
    if payload.feedback_type not in KINDS or step.trace_id != record.trace_id:
        return
    root_id = record.roots.get(payload.replaces, step.step_id) if payload.replaces is not None else step.step_id
    record.roots[step.step_id] = root_id
    record.feedback.setdefault(root_id, []).append(FeedbackVersion(step=step, payload=payload))


def _of_feedback(record: RunRecord, root_id: str) -> Said | None:
    """Return what the newest version of a feedback says; None where it was taken back."""
    step, payload = record.newest(root_id).step, record.newest(root_id).payload
    if payload.is_revoked:
        return None
    target = payload.target_step_id
    calls = tuple(record.calls[call_id] for call_id in record.about.get(target, ()) if call_id in record.calls)
    is_whole = target in record.answers
    signal: Signal = "positive" if payload.feedback_type == "positive" else "negative" if payload.feedback_type == "negative" else "correction"
    return Said(
        signal=signal,
        step_id=step.step_id,
        sequence=step.sequence,
        at=step.created_at,
        value=1.0 if signal == "positive" else 0.0,
        by=payload.by,
        calls=calls,
        is_whole=is_whole,
        words=payload.content,
        corrected=payload.corrected,
        target_step_id=target,
        root_id=root_id,
        is_asked=payload.is_learning,
    )


def _memory_write(record: RunRecord, step: Step, payload: said.MemoryWrite) -> None:
    if step.trace_id == record.trace_id:
        record.written.update(dict.fromkeys(step.parent_ids, payload.experience_id))


def _hear(record: RunRecord, step: Step, signal: Signal, **fields: Any) -> None:
    if step.trace_id == record.trace_id:
        record.signals.append(Said(signal=signal, step_id=step.step_id, sequence=step.sequence, at=step.created_at, is_asked=record.has_memory, **fields))


def edit_size(before: dict[str, Any], after: dict[str, Any]) -> float:
    """Return how much of the arguments was changed: 0 nothing … 1 all.

    Source: Ratcliff and Metzener, "Pattern Matching: The Gestalt Approach", 1988, as in Python's `difflib`.
    """
    one, other = (str(json_of(arguments) or arguments)[:MAX_COMPARED_CHARS] for arguments in (before, after))
    return 1.0 - SequenceMatcher(None, one, other, autojunk=False).ratio()


_READERS: dict[str, tuple[type[said.Payload], Any]] = {
    "input": (said.Input, _input),
    "llm_call": (said.LlmCall, _llm_call),
    "tool_started": (said.ToolStarted, _of_call),
    "tool_call": (said.ToolCall, _tool_call),
    "subrun": (said.Subrun, _of_call),
    "approval_requested": (said.ApprovalRequested, _approval_requested),
    "approval_decided": (said.ApprovalDecided, _approval_decided),
    "in_doubt": (said.InDoubtStep, _of_call),
    "in_doubt_resolved": (said.InDoubtResolved, _in_doubt_resolved),
    "output_rejected": (said.OutputRejected, _output_rejected),
    "failure": (said.Failure, _failure),
    "conclusion": (said.Conclusion, _conclusion),
    "feedback": (said.Feedback, _feedback),
    "outcome": (said.OutcomeGiven, _outcome),
    "memory_write": (said.MemoryWrite, _memory_write),
}
