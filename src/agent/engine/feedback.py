"""What people say of a step, or of a whole run: a step of its own, whoever drives the run. What is learnt of it is the memory's affair."""

from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.core.redact import Redactor
from agent.engine.log import as_trace_log
from agent.engine.stopping import append_outside
from agent.errors import BadInput, FeedbackInvalid, StepNotFound, TraceNotFound
from agent.models.payloads import Payload
from agent.models.trace import Step, Trace
from agent.storage.protocols import TraceHead, TraceLog, TraceStore

KINDS = ("positive", "negative", "correction")
MAX_FEEDBACK_CHARS = 100_000
LOOKED_BACK = 50  # steps at a run's end among which a feedback that a crash cut off is looked for


async def record_feedback(
    store: TraceStore | None, redactor: Redactor, *, trace_id: str, feedback: said.Feedback, attempts: int, uid: str | None = None
) -> Step:
    """Record feedback on a step and return its step. The same once more, while it is not learnt from yet, is the same step.

    Reads the trace's head and the one step, whatever the length of the run.

    Raises:
        TraceNotFound, StepNotFound: there is none; nothing was recorded.
        FeedbackInvalid: no such kind, or no words.
    """
    feedback = checked_feedback(feedback, redactor)
    if not isinstance(store, TraceLog):
        return await _plainly(store, trace_id, feedback, uid)
    log = as_trace_log(store, "take feedback")
    target = await log.get_step(trace_id, feedback.target_step_id, uid=uid)
    step = await _unfinished(log, trace_id, feedback)
    return step if step is not None else await append_signal(log, trace_id, feedback, (target.step_id,), attempts=attempts, uid=uid)


async def record_outcome(store: TraceStore | None, *, trace_id: str, outcome: said.OutcomeGiven, attempts: int, uid: str | None = None) -> Step:
    """Record how a run really went.

    Raises:
        TraceNotFound: there is none; nothing was recorded.
        BadInput: the value is no number from 0 to 1.
    """
    value = outcome.value
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise BadInput(f"the outcome {value!r:.100} is none: give a number from 0 (it failed) to 1 (it went well)")
    outcome = said.OutcomeGiven(value=float(value), by=outcome.by, signal=outcome.signal)
    if isinstance(store, TraceLog):
        return await append_signal(store, trace_id, outcome, (), attempts=attempts, uid=uid)
    return await _add_plainly(store, trace_id, outcome, (), uid)


async def append_signal(log: TraceLog, trace_id: str, payload: Payload, parents: tuple[str, ...], *, attempts: int, uid: str | None) -> Step:
    """Append what memory may learn from, and in the same commit the note that it has not yet."""
    is_noted = not isinstance(payload, said.Feedback) or payload.is_learning

    def build(head: TraceHead) -> tuple[list[tuple[Payload, tuple[str, ...]]], dict[str, Any]]:
        """Return the step and the note."""
        return [(payload, parents)], {"signalled": head.next_sequence} if is_noted else {}

    (step,) = await append_outside(log, trace_id, build, attempts, uid)
    return step


async def _unfinished(log: TraceLog, trace_id: str, feedback: said.Feedback) -> Step | None:
    """Return the step of the same feedback that a crash left unlearnt: giving it again finishes it, and makes no second one."""
    head = await log.head(trace_id)
    if head.trace.signalled <= head.trace.learnt:
        return None
    steps = await log.read_steps(trace_id, after=max(head.next_sequence - 1 - LOOKED_BACK, head.trace.learnt))
    return next((step for step in steps if step.step_type == feedback.step_type and step.data == feedback.to_data()), None)


def checked_feedback(feedback: said.Feedback, redactor: Redactor) -> said.Feedback:
    """Return feedback as it is recorded, secrets taken out.

    Raises:
        FeedbackInvalid: no such kind, or no words.
    """
    if feedback.feedback_type not in KINDS:
        raise FeedbackInvalid(f"feedback_type {feedback.feedback_type!r} does not exist: give one of {', '.join(KINDS)}")
    if not isinstance(feedback.target_step_id, str):
        raise FeedbackInvalid(f"target_step_id must be the id of a step, not {feedback.target_step_id!r:.100}")
    if not isinstance(feedback.content, str) or len(feedback.content) > MAX_FEEDBACK_CHARS:
        raise FeedbackInvalid(f"the feedback must be text of at most {MAX_FEEDBACK_CHARS} characters")
    if feedback.feedback_type != "positive" and not feedback.content.strip() and feedback.corrected is None:
        raise FeedbackInvalid(f"{feedback.feedback_type} feedback needs words, or what would have been right (corrected=)")
    _check_corrected(feedback.corrected)
    return said.Feedback(
        target_step_id=feedback.target_step_id,
        feedback_type=feedback.feedback_type,
        content=redactor.text(feedback.content),
        by=feedback.by,
        corrected=redactor.value(feedback.corrected),
        replaces=feedback.replaces,
        is_revoked=feedback.is_revoked,
        is_learning=feedback.is_learning,
    )


def _check_corrected(corrected: Any) -> None:
    if not isinstance(corrected, dict) or not corrected or corrected.keys() - {"tool_name", "arguments"}:
        return  # it is no call, but an output
    name, arguments = corrected.get("tool_name"), corrected.get("arguments")
    if not (name is None or (isinstance(name, str) and name)) or not (arguments is None or isinstance(arguments, dict)) or (name is None and arguments is None):
        raise FeedbackInvalid(f"corrected names no call: {corrected!r:.200}; give tool_name as text, arguments as a dict, or both")


async def _plainly(store: TraceStore | None, trace_id: str, feedback: said.Feedback, uid: str | None) -> Step:
    """The same on a store with the seed's methods only."""
    steps = await store.get_trace_steps(trace_id) if store is not None else []
    if steps and not any(step.step_id == feedback.target_step_id for step in steps):
        raise StepNotFound(feedback.target_step_id, f"trace {trace_id!r} has none of this id")
    return await _add_plainly(store, trace_id, feedback, (feedback.target_step_id,), uid)


async def _add_plainly(store: TraceStore | None, trace_id: str, payload: Payload, parents: tuple[str, ...], uid: str | None) -> Step:
    trace: Trace | None = await store.get_trace(trace_id) if store is not None else None
    if store is None or trace is None or (uid is not None and trace.uid != uid):
        raise TraceNotFound(trace_id, "" if store else "without a trace store nothing is recorded")
    last = max((step.sequence for step in await store.get_trace_steps(trace_id)), default=0)
    step = Step.create(trace_id, payload.step_type, last + 1, payload.to_data(), list(parents), created_at=now())
    await store.add_step(step)
    return step
