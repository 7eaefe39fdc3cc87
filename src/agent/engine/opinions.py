"""Feedback as people work with it: given, listed, changed, taken back, given again; each as a step, and what was learnt follows."""

from typing import Any, Literal

import agent.models.payloads as said
from agent.core.signals import FeedbackVersion, RunRecord, read_run
from agent.engine.feedback import append_signal, checked_feedback, record_feedback, record_outcome
from agent.engine.log import as_trace_log, head_of
from agent.engine.shop import Shop
from agent.errors import FeedbackInvalid, StepNotFound
from agent.models.feedback import FeedbackGiven
from agent.models.value import replace
from agent.storage.protocols import TraceLog, TraceStore

UNCHANGED: Any = object()
"""What is left out of `edit` stays as it was; None is a value of its own."""


class Feedbacks:
    """What people said of the runs of one trace store."""

    def __init__(self, store: TraceStore | None, shop: Shop) -> None:
        self._store, self._shop = store, shop

    async def add(self, trace_id: str, feedback: said.Feedback, *, uid: str | None = None) -> str | None:
        """Record feedback on a step, learn from it, and return the id of the experience that came of it, or None.

        Raises:
            TraceNotFound, StepNotFound, FeedbackInvalid: nothing was recorded.
        """
        attempts = self._shop.config.max_append_attempts
        step = await record_feedback(self._store, self._shop.redactor, trace_id=trace_id, feedback=feedback, attempts=attempts, uid=uid)
        return await self._learnt(trace_id, step.step_id) if feedback.is_learning else None

    async def outcome(self, trace_id: str, outcome: said.OutcomeGiven, *, uid: str | None = None) -> None:
        """Record how a run really went, and learn from it.

        Raises:
            TraceNotFound, BadInput: nothing was recorded.
        """
        step = await record_outcome(self._store, trace_id=trace_id, outcome=outcome, attempts=self._shop.config.max_append_attempts, uid=uid)
        await self._learnt(trace_id, step.step_id)

    async def list(self, trace_id: str, *, uid: str | None = None) -> "list[FeedbackGiven]":
        """Return what was said of a run's steps, oldest first, each as it stands now.

        Raises:
            TraceNotFound: there is none.
        """
        record = await self._record(trace_id, uid)
        return [_given(record, root_id) for root_id in record.feedback]

    async def edit(
        self,
        trace_id: str,
        feedback_id: str,
        *,
        feedback_type: Literal["positive", "negative", "correction"] | None = None,
        content: str | None = None,
        corrected: Any = UNCHANGED,
        by: str | None = None,
        uid: str | None = None,
    ) -> str | None:
        """Say a feedback in another way; what is left out stays. What was learnt of it is superseded. Return the id of the new experience, or None.

        `feedback_id` is the step of the feedback, or of any later version of it.

        Raises:
            TraceNotFound, StepNotFound: there is no such feedback.
            FeedbackInvalid: it would have no words; or nothing is changed.
        """
        _, last, root_id = await self._found(trace_id, feedback_id, uid)
        changed = replace(
            last,
            feedback_type=feedback_type if feedback_type is not None else last.feedback_type,
            content=content if content is not None else last.content,
            corrected=corrected if corrected is not UNCHANGED else last.corrected,
        )
        if changed == last and not last.is_revoked:
            raise FeedbackInvalid(f"feedback {feedback_id!r} says that already: give another feedback_type, content or corrected")
        return await self._say(trace_id, replace(changed, is_revoked=False), root_id, by, uid)

    async def revoke(self, trace_id: str, feedback_id: str, *, by: str | None = None, uid: str | None = None) -> None:
        """Take a feedback back: what was learnt of it is retired, and what it said of tools is forgotten. A second time changes nothing.

        Raises:
            TraceNotFound, StepNotFound: there is no such feedback.
        """
        _, last, root_id = await self._found(trace_id, feedback_id, uid)
        if not last.is_revoked:
            await self._say(trace_id, replace(last, is_revoked=True), root_id, by, uid)

    async def restore(self, trace_id: str, feedback_id: str, *, by: str | None = None, uid: str | None = None) -> str | None:
        """Give a feedback again that was taken back, as it was before; return the id of its experience, or None.

        Raises:
            TraceNotFound, StepNotFound: there is no such feedback.
            FeedbackInvalid: it was not taken back.
        """
        _, last, root_id = await self._found(trace_id, feedback_id, uid)
        if not last.is_revoked:
            raise FeedbackInvalid(f"feedback {feedback_id!r} was not taken back: there is nothing to restore")
        return await self._say(trace_id, replace(last, is_revoked=False), root_id, by, uid)

    async def _say(self, trace_id: str, version: said.Feedback, root_id: str, by: str | None, uid: str | None) -> str | None:
        """Append a new version of a feedback, resting on the first one, and learn from it."""
        version = checked_feedback(replace(version, replaces=root_id, by=by if by is not None else version.by), self._shop.redactor)
        log = as_trace_log(self._store, "change feedback")
        parents = (version.target_step_id, root_id)
        step = await append_signal(log, trace_id, version, parents, attempts=self._shop.config.max_append_attempts, uid=uid)
        return await self._learnt(trace_id, step.step_id) if version.is_learning else None

    async def _found(self, trace_id: str, feedback_id: str, uid: str | None) -> tuple[RunRecord, said.Feedback, str]:
        record = await self._record(trace_id, uid)
        root_id = record.roots.get(feedback_id)
        if root_id is None:
            raise StepNotFound(feedback_id, f"trace {trace_id!r} has no feedback of this id: `seasoned feedback ls {trace_id}` lists what there is")
        return record, record.newest(root_id).payload, root_id

    async def _record(self, trace_id: str, uid: str | None) -> RunRecord:
        log: TraceLog = as_trace_log(self._store, "look through feedback")
        await head_of(log, trace_id, uid)
        return read_run(trace_id, await log.read_steps(trace_id))

    async def _learnt(self, trace_id: str, step_id: str) -> str | None:
        return await self._shop.learning.learnt_from(trace_id, step_id) if self._shop.learning is not None else None


def _given(record: RunRecord, root_id: str) -> FeedbackGiven:
    versions: list[FeedbackVersion] = record.feedback[root_id]
    first, last = versions[0].step, versions[-1]
    written = [record.written[version.step.step_id] for version in versions if version.step.step_id in record.written]
    return FeedbackGiven(
        feedback_id=root_id,
        trace_id=first.trace_id,
        sequence=first.sequence,
        target_step_id=last.payload.target_step_id,
        feedback_type=last.payload.feedback_type,
        content=last.payload.content,
        corrected=last.payload.corrected,
        by=last.payload.by,
        given_at=first.created_at,
        changed_at=last.step.created_at,
        versions=len(versions),
        is_revoked=last.payload.is_revoked,
        experience_id=written[-1] if written else None,
    )
