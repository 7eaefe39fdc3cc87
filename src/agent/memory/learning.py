"""Learning is a projection of the log: what a run's steps say of it becomes cases, lessons and how the run went.

Nothing here is remembered between two calls but what is on the disk: learning from a run twice changes nothing, and what a
crash left unlearnt is learnt by whoever comes next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeAlias

import agent.models.payloads as said
from agent.clock import now
from agent.config import ANONYMOUS, AgentConfig
from agent.core.lessons import Lesson, cases_of, experience_id_of, lessons_of, scope_of, verdict_of, versions_of
from agent.core.signals import RunRecord, read_run
from agent.errors import AgentError, BadInput, SequenceTaken, TraceNotFound
from agent.llm.contract import LLMCall
from agent.memory.extracting import Extraction, ExtractionRequest, by_function, by_model, trust_of
from agent.memory.keeping import keep, withdraw
from agent.memory.recalling import note_late
from agent.models.json_text import json_of
from agent.models.memory import Experience
from agent.models.payloads import step_of
from agent.models.trace import Step, Trace, proof_of
from agent.models.value import replace
from agent.storage.learning_port import LearningStore, Sources
from agent.storage.protocols import MemoryStore, TraceLog, TraceStore

logger = logging.getLogger("agent")
DIGESTED = 20
"""Runs that are learnt from at one go, of those that a crash left: the newest. The next go takes more."""
CONFIDENCE = 0.6
"""How sure a lesson is that one person's words began."""
PAGE = 2_000  # steps of a run that are read at once

Model: TypeAlias = Callable[[], LLMCall | None]
Review: TypeAlias = Callable[[str, str | None], Awaitable[None]]
"""What is done about a run (its id, its owner's uid) once it is known how it went."""


class Learner:
    """Learns from the runs of one trace store into one memory store.

    `model` returns what can be asked to word a lesson; `review` is called once it is known how a run went.
    """

    def __init__(self, memories: MemoryStore, traces: TraceStore, config: AgentConfig, model: Model, review: Review) -> None:
        self.memories, self.traces, self.config, self.model, self.review = memories, traces, config, model, review
        self._failed: set[str] = set()  # runs that could not be learnt from here: not tried again by themselves

    async def learn(self, trace_id: str, *, even_unasked: bool = False, uid: str | None = None) -> dict[str, str]:
        """Learn from a run, and return which experience came of which step. `even_unasked`: also where memory was off, or not to learn.

        Raises:
            TraceNotFound: there is none (or it is another uid's).
        """
        for _ in range(self.config.max_append_attempts):
            trace, steps = await self._read(trace_id, uid)
            record = read_run(trace_id, steps)
            if proof_of(trace) is not None:  # what a trial came to says nothing of the world
                return {} if await self._note(trace, record, {}, steps) else record.written
            if isinstance(self.memories, LearningStore):
                await note_late(self.memories, trace, steps, scope=scope_of(trace))
            written = await self._write(trace, record, even_unasked=even_unasked)
            if await self._note(trace, record, written, steps):
                return await self._there({**record.written, **{step_id: item.experience_id for step_id, item in written.items()}})
        raise AgentError(f"trace {trace_id!r}: other writers were first {self.config.max_append_attempts} times; learn from it later")

    async def digest(self, uid: str | None = None, *, limit: int = DIGESTED) -> int:
        """Learn from runs that are left unlearnt, and return from how many. What fails is logged, and left."""
        if not isinstance(self.traces, TraceLog):
            return 0
        left = [trace.trace_id for trace in await self.traces.list_traces(uid=uid, is_unlearnt=True, limit=limit + len(self._failed))]
        done = 0
        for trace_id in [one for one in left if one not in self._failed][:limit]:
            done += await self.attempt(trace_id) is not None
        return done

    async def attempt(self, trace_id: str) -> dict[str, str] | None:
        """Learn from a run; a failure is logged, and the run is left unlearnt for later: None."""
        try:
            return await self.learn(trace_id)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._failed.add(trace_id)
            logger.warning("run %s could not be learnt from; it is left for later: %s: %s", trace_id, type(error).__name__, error)
            logger.debug("why run %s could not be learnt from", trace_id, exc_info=True)
            return None

    async def _there(self, learnt: dict[str, str]) -> dict[str, str]:
        """Return of what was learnt what was not forgotten since."""
        if not isinstance(self.memories, LearningStore):
            return learnt
        return {step_id: item_id for step_id, item_id in learnt.items() if await self.memories.get(item_id) is not None}

    async def _read(self, trace_id: str, uid: str | None) -> tuple[Trace, list[Step]]:
        if not isinstance(self.traces, TraceLog):
            trace = await self.traces.get_trace(trace_id)
            steps = await self.traces.get_trace_steps(trace_id) if trace is not None else []
        else:
            trace = await self.traces.get_trace(trace_id, uid=uid)
            steps = await self.traces.read_steps(trace_id) if trace is not None else []
        if trace is None or (uid is not None and trace.uid != uid):
            raise TraceNotFound(trace_id)
        return trace, steps

    # ---- what is written into the memory

    async def _write(self, trace: Trace, record: RunRecord, *, even_unasked: bool) -> dict[str, said.MemoryWrite]:
        owner = trace.uid or ANONYMOUS  # what is learnt has an owner always: without one it would be told to everybody
        since = -1 if even_unasked else trace.learnt
        if isinstance(self.memories, LearningStore):
            await self._write_cases(self.memories, trace, record, owner, since, even_unasked=even_unasked)
        written: dict[str, said.MemoryWrite] = {}
        lessons = {lesson.step_id: lesson for lesson in lessons_of(record, trace, even_unasked=even_unasked)}
        for root_id in record.feedback:
            if record.newest(root_id).step.step_id not in lessons and len(record.feedback[root_id]) > 1 and record.newest(root_id).step.sequence > since:
                await self._take_back(record, root_id)
        for lesson in lessons.values():
            if lesson.sequence > since and (lesson.step_id not in record.written or len(record.feedback.get(lesson.root_id, ())) > 1):
                try:
                    kept = await self._keep(trace, record, lesson, owner)
                except BadInput as error:  # the same again would fail again: the others are not to wait for it
                    logger.warning("run %s: what step %s said is not learnt: %s", trace.trace_id, lesson.step_id, error)
                    continue
                if kept is not None:
                    written[lesson.step_id] = kept
        return {step_id: item for step_id, item in written.items() if step_id not in record.written}

    async def _write_cases(self, store: LearningStore, trace: Trace, record: RunRecord, owner: str, since: int, *, even_unasked: bool) -> None:
        use = next(iter(await store.uses(trace_id=trace.trace_id, limit=1)), None)
        number = use.number if use is not None else (await store.run_count(scope_of(trace), uid=owner)).runs
        days = self.config.tool_failure_ttl_days
        ttl = timedelta(days=days) if days is not None else None
        if cases := cases_of(record, trace, owner, run_number=number, failure_ttl=ttl, even_unasked=even_unasked):
            await store.add_cases(cases)
        if gone := _gone(record, since):
            for case in await store.cases(trace_id=trace.trace_id):
                if case.step_id in gone:
                    await store.forget_from(Sources(item_id=case.case_id), by="feedback")
        if use is None:
            return
        verdict = verdict_of(record, even_unasked=even_unasked)
        if verdict is not None and (use.outcome, use.outcome_from) != (verdict.value, verdict.signal):
            await store.record_outcome(trace.trace_id, verdict.value, signal=verdict.signal, by=verdict.by)
            await self.review(trace.trace_id, trace.uid)
        elif verdict is None and use.outcome is not None:
            await store.record_outcome(trace.trace_id, None, signal=use.outcome_from or "outcome")

    async def _take_back(self, record: RunRecord, root_id: str) -> None:
        """Retire what the versions of a feedback made that makes nothing any more."""
        versions = record.feedback[root_id]
        steps = [version.step.step_id for version in versions]
        by = versions[-1].payload.by
        known = [record.written[step_id] for step_id in steps if step_id in record.written]
        own = versions_of(record, root_id)
        for experience_id in dict.fromkeys((*own, *known)):
            await withdraw(self.memories, experience_id, [*steps, *(version.payload.target_step_id for version in versions)], own=own, by=by)

    async def _keep(self, trace: Trace, record: RunRecord, lesson: Lesson, owner: str) -> said.MemoryWrite | None:
        ids = versions_of(record, lesson.root_id) or [experience_id_of(lesson.step_id)]
        before = [one for one in ids[:-1] if one != ids[-1]]
        found = await self._extracted(trace, record, lesson)
        experience = _experience(trace, record, lesson, owner, ids[-1], found)
        instead_of = before[-1] if before else None
        if instead_of is not None:
            instead_of = await self._own(record, lesson.root_id, instead_of)
        is_back = len(record.feedback.get(lesson.root_id, ())) > 1
        experience_id = await keep(self.memories, experience, instead_of=instead_of, is_back=is_back, by=lesson.by)
        if experience_id is None:
            logger.warning("run %s: what step %s said was forgotten, and is not learnt again; say it anew where it is meant", trace.trace_id, lesson.step_id)
            return None
        usage = found.usage if found is not None else {}
        return said.MemoryWrite(experience_id=experience_id, condition=experience.condition, rule=experience.rule, **usage)

    async def _own(self, record: RunRecord, root_id: str, experience_id: str) -> str | None:
        """Return the earlier version's experience where only this feedback made it; else take what it said out of the one that it strengthened."""
        steps = [version.step.step_id for version in record.feedback[root_id]]
        held = next((record.written[step_id] for step_id in reversed(steps) if step_id in record.written), experience_id)
        if held == experience_id:
            return experience_id
        await withdraw(self.memories, held, steps)
        return None

    async def _extracted(self, trace: Trace, record: RunRecord, lesson: Lesson) -> Extraction | None:
        """Return what the chosen extractor makes of a lesson; None: the words stand as they are, by choice or since it failed."""
        extractor = self.config.extractor
        if extractor == "verbatim":
            return None
        model = self.model()
        try:
            async with asyncio.timeout(self.config.extractor_timeout_s):
                request = ExtractionRequest(
                    task=trace.task or "",
                    step=await self._shown(trace.trace_id, lesson.evidence[0]),
                    words=lesson.rule,
                    kind=lesson.signal,
                    language=record.language,
                    rule=lesson.rule,
                )
                if callable(extractor):
                    return await by_function(extractor, request)
                return await by_model(model, self.config.extractor_model or record.model, request)
        except Exception as error:  # noqa: BLE001  the person's words are there, and will do
            logger.warning("run %s: the extractor failed, the words stand as they are: %s: %s", trace.trace_id, type(error).__name__, error)
            return None

    async def _shown(self, trace_id: str, step_id: str) -> str:
        """Return what a step said, as text."""
        if not isinstance(self.traces, TraceLog):
            return ""
        step = await self.traces.get_step(trace_id, step_id)
        data = {name: step.data[name] for name in ("content", "response", "tool_name", "arguments", "result", "tool_calls") if step.data.get(name)}
        return json_of(data) or str(data)

    # ---- what is noted in the trace

    async def _note(self, trace: Trace, record: RunRecord, written: dict[str, said.MemoryWrite], steps: Sequence[Step]) -> bool:
        """Append what came of which step, and say up to where memory has learnt. False: somebody appended meanwhile, look again."""
        at, epoch = now(), steps[-1].epoch if steps else 0
        notes = [step_of(item, trace.trace_id, record.last + 1 + n, (step_id,), at=at, epoch=epoch) for n, (step_id, item) in enumerate(written.items())]
        if not isinstance(self.traces, TraceLog):
            for note in notes:
                await self.traces.add_step(Step.create(trace.trace_id, note.step_type, note.sequence, note.data, list(note.parent_ids), created_at=at))
            return True
        if notes:
            try:
                await self.traces.add_steps(trace.trace_id, notes, changes={"learnt": record.last})
            except SequenceTaken:
                return False
        elif record.last > trace.learnt:
            await self.traces.update_trace(trace.trace_id, learnt=record.last)
        return True


def _gone(record: RunRecord, since: int) -> set[str]:
    """Return the steps whose word does not count any more: earlier versions of a feedback, and earlier words on the whole run."""
    gone: set[str] = set()
    for versions in record.feedback.values():
        if len(versions) > 1 and versions[-1].step.sequence > since:
            kept = set() if versions[-1].payload.is_revoked else {versions[-1].step.step_id}
            gone |= {version.step.step_id for version in versions} - kept
    valid = {one.step_id for one in record.signals}
    if record.outcomes and record.outcomes[-1].sequence > since:
        gone |= {step.step_id for step in record.outcomes if step.step_id not in valid}
    return gone


def _experience(trace: Trace, record: RunRecord, lesson: Lesson, owner: str, experience_id: str, found: Extraction | None) -> Experience:
    """Return a lesson as an experience of the run's owner: a person's own words are told at once, a model's wait in the shadow."""
    experience = Experience.create(
        experience_id=experience_id,
        scope=scope_of(trace),
        condition=lesson.condition,
        rule=lesson.rule,
        evidence=lesson.evidence,
        source="feedback",
        confidence=CONFIDENCE,
        kind=lesson.kind,
        author=lesson.by,
        uid=owner,
        trust=lesson.trust,
        created_at=lesson.at,
    )
    if found is None:
        return experience
    return replace(
        experience,
        condition=(found.condition if found.condition is not None else lesson.condition).strip(),
        rule=found.rule.strip(),
        kind=found.kind or lesson.kind,
        scope="user" if found.scope == "user" else experience.scope,
        source="model" if found.is_by_model else "feedback",
        state="shadow" if found.is_by_model else "active",
        trust=trust_of(lesson, is_tainted=record.is_tainted(lesson.evidence[0])) if found.is_by_model else lesson.trust,
    )
