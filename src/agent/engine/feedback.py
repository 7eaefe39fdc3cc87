"""What people say of a step, on the record first, then a lesson."""

from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.core.redact import Redactor
from agent.engine.log import as_trace_log
from agent.engine.stopping import append_outside
from agent.errors import FeedbackInvalid, StepNotFound, TraceNotFound
from agent.models.memory import Experience
from agent.models.payloads import Payload
from agent.models.trace import Step, Trace
from agent.storage.protocols import MemoryStore, TraceHead, TraceLog, TraceStore

KINDS = ("positive", "negative", "correction")
MAX_FEEDBACK_CHARS = 100_000
LOOKED_BACK = 50  # steps at a run's end among which a feedback that a crash cut off is looked for
SHOWN_TASK = 200  # characters of the task in a lesson's condition


async def give_feedback(
    store: TraceStore | None,
    memories: MemoryStore | None,
    redactor: Redactor,
    *,
    trace_id: str,
    feedback: said.Feedback,
    extract: bool,
    attempts: int,
    uid: str | None = None,
) -> str | None:
    """Record feedback on a step and return the id of the experience that came of it, or None.

    Reads the trace's head and the one step, whatever the length of the run. Corrections and negative feedback make an
    experience; praise makes none. Its id follows from the feedback step, so that doing it twice makes one.

    Raises:
        TraceNotFound, StepNotFound: there is none; nothing was recorded.
        FeedbackInvalid: no such kind, or no words.
    """
    feedback = _checked(feedback, redactor)
    if not isinstance(store, TraceLog):
        return await _plainly(store, memories if extract else None, trace_id, feedback)
    log = as_trace_log(store, "take feedback")
    target = await log.get_step(trace_id, feedback.target_step_id, uid=uid)

    def build(_: TraceHead) -> tuple[list[tuple[Payload, tuple[str, ...]]], dict[str, Any]]:
        """Return the feedback, resting on its target."""
        return [(feedback, (target.step_id,))], {}

    learns = extract and memories is not None and feedback.feedback_type != "positive"
    step = await _unfinished(log, trace_id, feedback) if learns else None
    if step is None:
        (step,) = await append_outside(log, trace_id, build, attempts, uid)
    trace = await log.get_trace(trace_id)
    if trace is None or not extract or memories is None or feedback.feedback_type == "positive":
        return None
    experience = lesson_of(trace, step, feedback)
    experience_id = await memories.add_experience(experience)
    write = said.MemoryWrite(experience_id=experience_id, condition=experience.condition, rule=experience.rule)
    await append_outside(log, trace_id, lambda _: ([(write, (step.step_id,))], {}), attempts, uid)
    return experience_id


async def _unfinished(log: TraceLog, trace_id: str, feedback: said.Feedback) -> Step | None:
    """Return the step of the same feedback that a crash left without its lesson: giving it again finishes it, and makes no second one."""
    last = (await log.head(trace_id)).next_sequence - 1
    steps = await log.read_steps(trace_id, after=last - LOOKED_BACK)
    finished = {parent for step in steps if step.step_type == said.MemoryWrite.step_type for parent in step.parent_ids}
    same = (step for step in steps if step.step_type == feedback.step_type and step.data == feedback.to_data())
    return next((step for step in same if step.step_id not in finished), None)


def _checked(feedback: said.Feedback, redactor: Redactor) -> said.Feedback:
    if feedback.feedback_type not in KINDS:
        raise FeedbackInvalid(f"feedback_type {feedback.feedback_type!r} does not exist: give one of {', '.join(KINDS)}")
    if not isinstance(feedback.target_step_id, str):
        raise FeedbackInvalid(f"target_step_id must be the id of a step, not {feedback.target_step_id!r:.100}")
    if not isinstance(feedback.content, str) or len(feedback.content) > MAX_FEEDBACK_CHARS:
        raise FeedbackInvalid(f"the feedback must be text of at most {MAX_FEEDBACK_CHARS} characters")
    if feedback.feedback_type != "positive" and not feedback.content.strip() and feedback.corrected is None:
        raise FeedbackInvalid(f"{feedback.feedback_type} feedback needs words, or what would have been right (corrected=)")
    return said.Feedback(
        target_step_id=feedback.target_step_id,
        feedback_type=feedback.feedback_type,
        content=redactor.text(feedback.content),
        by=feedback.by,
        corrected=redactor.value(feedback.corrected),
    )


def lesson_of(trace: Trace, step: Step, feedback: said.Feedback) -> Experience:
    """Return a person's words as an experience of the run's owner."""
    task = (trace.task or "")[:SHOWN_TASK]
    corrected = "" if feedback.corrected is None else f" → {feedback.corrected}"
    return Experience.create(
        scope=f"agent:{trace.agent_type or 'default'}",
        condition=task,
        rule=(feedback.content + corrected).strip(),
        evidence=[feedback.target_step_id, step.step_id],
        source="feedback",
        confidence=0.6,
        kind="do" if feedback.feedback_type == "correction" else "dont",
        author=feedback.by,
        uid=trace.uid,
        experience_id=f"exp-{step.step_id.replace('/', '-')}",
    )


async def _plainly(store: TraceStore | None, memories: MemoryStore | None, trace_id: str, feedback: said.Feedback) -> str | None:
    """The same on a store with the seed's methods only."""
    trace = await store.get_trace(trace_id) if store is not None else None
    if store is None or trace is None:
        raise TraceNotFound(trace_id, "" if store else "without a trace store nothing is recorded")
    steps = await store.get_trace_steps(trace_id)
    if not any(step.step_id == feedback.target_step_id for step in steps):
        raise StepNotFound(feedback.target_step_id, f"trace {trace_id!r} has none of this id")
    last = max((step.sequence for step in steps), default=0)
    step = Step.create(trace_id, "feedback", last + 1, feedback.to_data(), [feedback.target_step_id], created_at=now())
    await store.add_step(step)
    if memories is None or feedback.feedback_type == "positive":
        return None
    experience = lesson_of(trace, step, feedback)
    experience_id = await memories.add_experience(experience)
    write = said.MemoryWrite(experience_id=experience_id, condition=experience.condition, rule=experience.rule)
    await store.add_step(Step.create(trace_id, "memory_write", last + 2, write.to_data(), [step.step_id]))
    return experience_id
