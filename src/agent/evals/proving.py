"""Counterfactual proof: past runs once more from where memory was read, with an item and without it, and what came of each."""

from collections.abc import Iterable, Sequence
from typing import Any

import agent.models.payloads as said
from agent.config import AgentConfig
from agent.core.diff import Diff, diff
from agent.core.wording import wording
from agent.engine.cut_results import READ_RESULT
from agent.errors import AgentError, BadInput, EvalStopped, ExperienceNotFound, TraceNotFound
from agent.evals.paired import Estimate, Table, difference_of, verdict_of
from agent.evals.running import finished_of
from agent.evals.scorers import Marking, Score, Scorer
from agent.evals.stand_ins import StandIns
from agent.evals.tasks import Task
from agent.llm.contract import LLMCall
from agent.memory.finding import scopes_of
from agent.models.digest import canonical_hash
from agent.models.memory import Experience
from agent.models.payloads import payload_of
from agent.models.trace import ENDED, PROOF, Step, Trace
from agent.models.value import Value
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store
from agent.storage.state_values import RESERVED
from agent.tools.registry import ToolRegistry

MAX_USES = 200
"""Newest uses of an item among which runs are chosen."""
MAX_LOOKED = 200
"""Newest runs that are looked at for those that would have been told it."""
SEARCH_LIMIT = 10
"""An item that is not among so many that fit a task would not have been told."""
WITH, WITHOUT = "with", "without"
_KEY = f"{RESERVED}proof:"


class Side(Value, frozen=True, kw_only=True):
    """A past run once more, with the item or without it."""

    trace_id: str
    status: str
    answer: str
    score: Score | None = None
    stubbed: int = 0  # calls that the past run had not made, and that were not made now


class Proved(Value, frozen=True, kw_only=True):
    """One past run, both ways."""

    trace_id: str
    task: str
    was_told: bool  # whether the past run itself was told the item
    without: Side
    with_it: Side
    difference: Diff

    @property
    def is_same(self) -> bool:
        """Return whether the item made no difference to what was done and answered."""
        return all(node.status in ("shared", "same") or node.step_type in ("forked", "memory_read") for node in self.difference.nodes)


class Proof(Value, frozen=True, kw_only=True):
    """What past runs say about an item."""

    item_id: str
    text: str
    state: str
    runs: tuple[Proved, ...]
    skipped: tuple[tuple[str, str], ...] = ()  # runs that could not be looked into, and why
    score: Estimate | None = None  # of scores with it less those without

    @property
    def verdict(self) -> str:
        """Return what is said of it."""
        return verdict_of(self.score, of="runs")


class _Past(Value, frozen=True, kw_only=True):
    """A past run: where it read memory, and what it was asked."""

    trace: Trace
    steps: tuple[Step, ...]
    read: Step
    asked: said.Input


class Prover:
    """Looks into past runs of one uid. Its forks are runs in the store; asked again, what is done is not done again."""

    def __init__(
        self,
        store: Store,
        llm_call: LLMCall,
        model: str,
        *,
        uid: str,
        config: AgentConfig | None = None,
        marking: Marking | None = None,
        scorer: Scorer | None = None,
    ) -> None:
        if not isinstance(store.memories, LearningStore):
            raise BadInput("this memory store cannot say what runs were told: use one of open_store(…)")
        self.store, self.memories, self.llm_call, self.model, self.uid = store, store.memories, llm_call, model, uid
        self.config, self.marking, self.scorer = config or AgentConfig(), marking or Marking(), scorer

    async def prove(self, item_id: str, *, runs: int = 5, only: Sequence[str] = ()) -> Proof:
        """Return what `runs` past runs do with an item and without it: those that used it, then those that would have been told it.

        `only` names the runs instead.

        Raises:
            ExperienceNotFound: this uid has no such experience.
            EvalStopped: the scorer failed.
        """
        item = await self.memories.get(item_id, uid=self.uid)
        if not isinstance(item, Experience):
            raise ExperienceNotFound(item_id, "`seasoned memory learnt` lists what was learnt lately")
        proved: list[Proved] = []
        skipped: list[tuple[str, str]] = []
        for trace_id in only or await self._candidates(item, runs * 3):
            if len(proved) == runs and not only:
                break
            try:
                proved.append(await self._proved(item, trace_id))
            except AgentError as error:
                if only or isinstance(error, EvalStopped):
                    raise
                skipped.append((trace_id, str(error)))
        return Proof(
            item_id=item_id,
            text=item.to_prompt_text(),
            state=item.state,
            runs=tuple(proved),
            skipped=tuple(skipped),
            score=difference_of(_scores((one.trace_id, one.with_it) for one in proved), _scores((one.trace_id, one.without) for one in proved)),
        )

    async def _candidates(self, item: Experience, most: int) -> list[str]:
        """Return runs that used the item, or had it withheld or only logged, newest first; then those whose task it fits."""
        used = [use.trace_id for use in await self.memories.uses(uid=self.uid, item_id=item.experience_id, limit=MAX_USES)]
        found = list(dict.fromkeys(used))[:most]
        if len(found) >= most:
            return found
        for trace in await self.store.traces.list_traces(uid=self.uid, limit=MAX_LOOKED):
            if len(found) >= most:
                break
            if trace.trace_id not in found and trace.mode == "agent" and trace.fork_at is None and await self._fits(item, trace):
                found.append(trace.trace_id)
        return found

    async def _fits(self, item: Experience, trace: Trace) -> bool:
        scopes = scopes_of(f"agent:{trace.agent_type or self.config.agent_type}", self.config.project)
        if not trace.task or item.scope not in scopes or item.created_at is None or trace.status not in ENDED:
            return False
        fitting = await self.memories.search(trace.task, scopes=[item.scope], uid=self.uid, states=(item.state,), limit=SEARCH_LIMIT)
        return any(isinstance(one.item, Experience) and one.item.experience_id == item.experience_id for one in fitting)

    # ---- one run

    async def _proved(self, item: Experience, trace_id: str) -> Proved:
        past = await self._past(trace_id)
        was_told = any(one.get("experience_id") == item.experience_id for one in past.read.data.get("experiences", ()))
        changes: dict[str, dict[str, Any]] = {WITH: {}, WITHOUT: {}}
        changes[WITHOUT if was_told else WITH] = {"exclude_memory" if was_told else "include_memory": [item.experience_id]}
        without, before = await self._side(item, past, WITHOUT, changes[WITHOUT])
        with_it, after = await self._side(item, past, WITH, changes[WITH])
        found = diff(before, after)
        return Proved(trace_id=trace_id, task=past.trace.task or "", was_told=was_told, without=without, with_it=with_it, difference=found)

    async def _past(self, trace_id: str) -> _Past:
        trace = await self.store.traces.get_trace(trace_id, uid=self.uid)
        if trace is None:
            raise TraceNotFound(trace_id)
        steps = await self.store.traces.get_trace_steps(trace_id, uid=self.uid)
        read = next((step for step in steps if step.step_type == "memory_read"), None)
        asked = next((fact for step in steps if isinstance(fact := payload_of(step), said.Input) and not fact.is_resume), None)
        if asked is None or read is None:
            raise BadInput(f"run {trace_id!r} read no memory: there is nothing to take away or to add")
        return _Past(trace=trace, steps=tuple(steps), read=read, asked=asked)

    async def _side(self, item: Experience, past: _Past, which: str, changes: dict[str, Any]) -> tuple[Side, list[Step]]:
        """Return one side of a proof and its steps; a fork that was made before goes on, or is as it was."""
        schemas = [one for one in past.asked.schemas if one.get("function", {}).get("name") != READ_RESULT]
        tools, store = StandIns(schemas, past.steps, language=past.asked.language), self.store
        fork_id = await self._fork(tools.registry, item, past, which, changes)
        async with AgentRunner(store.traces, None, store.states, tools.registry, self.llm_call, self.config) as runner:  # nothing is learnt from a trial
            forked = await store.traces.get_trace(fork_id, uid=self.uid)
            if forked is None or forked.status not in ENDED - {"failed"}:
                async for _ in runner.resume(fork_id, uid=self.uid):
                    pass
        forked = await store.traces.get_trace(fork_id, uid=self.uid)
        assert forked is not None
        own = await store.traces.get_trace_steps(fork_id, uid=self.uid)
        await store.traces.update_trace(fork_id, learnt=own[-1].sequence)
        task = Task(task_id=past.trace.trace_id, task=past.trace.task or "", scorer=self.scorer or Scorer("judge"))
        finished = finished_of(forked, own, task)
        score = await self.marking.score(self.scorer, finished) if self.scorer is not None else None
        stubbed = sum(step.data.get("result") == wording("stubbed", past.asked.language) for step in own if step.step_type == "tool_call")
        return Side(trace_id=fork_id, status=forked.status, answer=finished.answer, score=score, stubbed=stubbed), own

    async def _fork(self, tools: ToolRegistry, item: Experience, past: _Past, which: str, changes: dict[str, Any]) -> str:
        """Return the id of the fork of this side: the one that was made for the same item, words and model, or a new one."""
        words = canonical_hash([item.condition, item.rule, item.kind, self.model])[:16]
        key = f"{_KEY}{item.experience_id[:100]}:{past.trace.trace_id}:{words}:{which}"
        known = await self.store.states.get(key, uid=self.uid)
        if isinstance(known, str) and await self.store.traces.get_trace(known, uid=self.uid) is not None:
            return known
        runner = AgentRunner(self.store.traces, self.store.memories, self.store.states, tools, self.llm_call, self.config)
        fork_id = await runner.fork(past.trace.trace_id, past.read.sequence, uid=self.uid, model=self.model, **changes)
        forked = await self.store.traces.get_trace(fork_id, uid=self.uid)
        assert forked is not None
        await self.store.traces.update_trace(fork_id, context={**forked.context, PROOF: item.experience_id})  # no `last` run, none to learn from
        await self.store.states.set(key, fork_id, uid=self.uid)
        return fork_id


def _scores(sides: Iterable[tuple[str, Side]]) -> Table:
    return {trace_id: {0: side.score.value} for trace_id, side in sides if side.score is not None and side.score.value is not None}
