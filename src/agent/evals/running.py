"""Runs an eval: streams of tasks side by side, each in one arm with one seed and a memory of its own; killed, it goes on where it was."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as config_with
from typing import Any

from agent.config import AgentConfig
from agent.core.estimate import text_tokens
from agent.errors import BadInput, EvalStopped
from agent.evals.arms import ARMS, LEARNING, Arm, ArmRunner
from agent.evals.cells import Cell, Cells, Setting, eval_id_of
from agent.evals.scorers import Finished, Marking, Score
from agent.evals.tasks import Task, TaskSet
from agent.evals.teaching import teach
from agent.events import AgentEvent
from agent.llm.contract import LLMCall
from agent.models.digest import canonical_hash
from agent.models.trace import ENDED, Step, Trace, is_subrun
from agent.models.value import Value
from agent.storage.protocols import Store
from agent.tools.registry import ToolRegistry

MAX_SEEDS = 1_000
"""Orders of the tasks in one eval."""
MAX_FAILED = 3
"""Runs of one stream that fail one after the other before the eval stops: then it is not the tasks that fail."""
AUTHOR = "eval"
"""Who signs outcomes and feedback of an eval, with its name behind it."""


@dataclass(kw_only=True)
class EvalOptions:
    """How an eval is run."""

    arms: Sequence[str] = ("none", "memory")
    seeds: int = 1
    corrections: float = 1.0  # the share of wrong answers that are corrected, where the set has a correction
    parallel: int = 2  # streams that run at once; within one, tasks follow each other, since each may learn from those before
    settings: dict[str, Any] = field(default_factory=dict)  # of the model
    gives_seed: bool = True  # whether the model is given `seed`, the same in all arms
    system: str | None = None  # of tasks that have none
    tools: Sequence[str] = ()  # of tasks that name none
    agent_type: str | None = None  # of tasks that name none
    max_iterations: int | None = None  # of tasks that name none
    may_use_unsafe: bool = False  # whether tools that change the world may be called, again and again


class Stream(Value, frozen=True, kw_only=True):
    """The tasks of one arm and seed in their order, and the uid that they run under."""

    arm: Arm
    seed: int
    uid: str
    tasks: tuple[Task, ...]


class Evaluation:
    """One eval of a task set in a store. What is done stays: `run` again goes on."""

    def __init__(
        self,
        tasks: TaskSet,
        store: Store,
        llm_call: LLMCall,
        model: str,
        *,
        owner: str,
        options: EvalOptions | None = None,
        tools: ToolRegistry | None = None,
        marking: Marking | None = None,
        config: AgentConfig | None = None,
        on_cell: Callable[[Cell], None] | None = None,
        file: str = "",
    ) -> None:
        self.tasks, self.store, self.llm_call, self.model, self.owner = tasks, store, llm_call, model, owner
        self.options, self.tools = options or EvalOptions(), tools if tools is not None else ToolRegistry()
        self.marking, self.config = marking or Marking(), _fair(config or AgentConfig())
        self.on_cell = on_cell
        self.cells = Cells(store.states, owner)
        _check(self.options, tasks, self.tools)
        self.setting = self._setting(file)

    def _setting(self, file: str) -> Setting:
        options, tasks = self.options, self.tasks
        who = [options.system, list(options.tools), options.agent_type, options.max_iterations, self.config.language, self.config.memory_placement]
        digest = canonical_hash([tasks.digest, self.model, options.settings, options.corrections, options.gives_seed, who])
        return Setting(
            eval_id=eval_id_of(tasks.name, digest),
            name=tasks.name,
            description=tasks.description,
            digest=tasks.digest,
            model=self.model,
            arms=tuple(options.arms),
            seeds=options.seeds,
            tasks=len(tasks.tasks),
            held_out=sum(task.split == "held_out" for task in tasks.tasks),
            corrections=options.corrections,
            settings=options.settings,
            file=file,
        )

    def streams(self) -> list[Stream]:
        """Return all streams; those of a seed have one order of tasks, whatever the arm."""
        return [self._stream(arm, seed) for seed in range(self.options.seeds) for arm in ARMS if arm in self.options.arms]

    def _stream(self, arm: Arm, seed: int) -> Stream:
        order = sorted(self.tasks.tasks, key=lambda task: (task.split != "train", _draw(self.setting.digest, seed, task.task_id, "order")))
        return Stream(arm=arm, seed=seed, uid=f"{self.owner}/eval/{self.setting.eval_id}/{arm}/{seed}", tasks=tuple(order))

    async def run(self) -> list[Cell]:
        """Run what is not done yet and return all cells.

        Raises:
            EvalStopped: runs fail one after the other, or a scorer does; what is done stays.
        """
        self.setting = await self.cells.begin(self.setting)
        done = await self.cells.of(self.setting.eval_id)
        gate = asyncio.Semaphore(max(1, self.options.parallel))
        known = {seed: asyncio.Event() for seed in range(self.options.seeds)}  # set: what memory told with this seed is known
        try:
            async with asyncio.TaskGroup() as group:
                for stream in self.streams():
                    own = {cell.position: cell for cell in done if cell.arm == stream.arm and cell.seed == stream.seed}
                    group.create_task(self._run_stream(stream, own, gate, known[stream.seed]))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return await self.cells.of(self.setting.eval_id)

    async def _run_stream(self, stream: Stream, done: dict[int, Cell], gate: asyncio.Semaphore, known: asyncio.Event) -> None:
        if len(done) < len(stream.tasks):
            if stream.arm == "placebo":
                await known.wait()  # bounded by the stream of the arm memory: should it fail, so does the whole group
            async with gate:
                await self._run_rest(stream, done)
        if stream.arm == "memory":
            known.set()

    async def _run_rest(self, stream: Stream, done: dict[int, Cell]) -> None:
        begun = deque(await self._begun(stream, done))
        failed: list[Cell] = []  # not recorded before a run succeeds again, so that they are tried again if none does
        async with await self._runner(stream) as runner:
            for position, task in enumerate(stream.tasks):
                if position in done:
                    continue
                if task.split == "held_out":
                    runner.stop_learning()
                cell = await self._cell(runner, stream, position, begun.popleft() if begun else None)
                failed.append(cell)
                if cell.error is None:
                    await self._record(failed)
                    failed = []
                elif len(failed) >= MAX_FAILED:
                    raise EvalStopped(task.task_id, f"{MAX_FAILED} runs failed one after the other, the last with {cell.error}")
            await self._record(failed)

    async def _record(self, cells: Sequence[Cell]) -> None:
        await self.cells.put(self.setting.eval_id, cells)
        for cell in cells:
            if self.on_cell is not None:
                self.on_cell(cell)

    async def _runner(self, stream: Stream) -> ArmRunner:
        lengths: dict[str, float] = {}
        if stream.arm == "placebo":
            told = {cell.task_id: cell.memory_tokens for cell in await self.cells.of(self.setting.eval_id, "memory", stream.seed)}
            lengths = {task.task: told.get(task.task_id, 0.0) for task in stream.tasks}
        return ArmRunner(
            self.store.traces,
            self.store.memories if stream.arm != "none" else None,
            self.store.states,
            self.tools,
            self.llm_call,
            self.config,
            arm=stream.arm,
            tasks=[task.task for task in self.tasks.tasks],
            lengths=lengths,
            seed=f"{self.setting.digest}/{stream.seed}",
        )

    async def _begun(self, stream: Stream, done: dict[int, Cell]) -> list[Trace]:
        """Return the runs of a stream that no cell tells of, oldest first: those that a crash cut off, or cut off from their score."""
        told = {cell.trace_id for cell in done.values()}
        traces = [
            trace
            for trace in await self.store.traces.list_traces(uid=stream.uid)
            if trace.trace_id not in told and trace.mode == "agent" and trace.fork_at is None and not is_subrun(trace)
        ]
        return sorted(traces, key=lambda trace: trace.trace_id)

    # ---- one cell

    async def _cell(self, runner: ArmRunner, stream: Stream, position: int, begun: Trace | None) -> Cell:
        task = stream.tasks[position]
        trace, error = await self._driven(runner, stream, task, begun)
        steps = tuple(await self.store.traces.get_steps(trace.trace_id, uid=stream.uid))
        finished = finished_of(trace, steps, task)
        score = Score(0.0, f"the run failed: {error}") if error is not None else await self.marking.score(task.scorer, finished)
        is_corrected = False
        if task.split == "train" and stream.arm in LEARNING:
            may_correct = _draw(self.setting.digest, stream.seed, task.task_id, "correct") < self.options.corrections
            by = f"{AUTHOR}:{self.setting.name}"
            is_corrected = await teach(runner, finished, task, score, by=by, uid=stream.uid, may_correct=may_correct)
        elif stream.arm in LEARNING:  # what showed itself in it is not learnt from either
            await self.store.traces.update_trace(trace.trace_id, learnt=steps[-1].sequence)
        return Cell(
            arm=stream.arm,
            seed=stream.seed,
            position=position,
            task_id=task.task_id,
            split=task.split,
            trace_id=trace.trace_id,
            status=trace.status,
            score=score.value,
            why=score.why,
            error=error,
            is_corrected=is_corrected,
            tokens=trace.total_tokens,
            cost_usd=trace.total_cost,
            cost_is_partial=trace.cost_is_partial,
            took_s=round(sum(_seconds(step) for step in steps), 6),
            memory_tokens=sum(text_tokens(str(step.data.get("block") or "")) for step in steps if step.step_type == "memory_read"),
        )

    async def _driven(self, runner: ArmRunner, stream: Stream, task: Task, begun: Trace | None) -> tuple[Trace, str | None]:
        """Drive a run until it rests and return it, with why it failed; what failed is tried once more."""
        trace_id, error = begun.trace_id if begun is not None else None, None
        if trace_id is None:
            trace_id, error = await _follow(self._fresh(runner, stream, task))
        elif begun is not None and begun.status not in ENDED - {"failed"}:
            _, error = await _follow(runner.resume(trace_id, uid=stream.uid), trace_id)
        if error is not None:
            _, error = await _follow(runner.resume(trace_id, uid=stream.uid), trace_id)
        trace = await self.store.traces.get_trace(trace_id, uid=stream.uid)
        assert trace is not None
        if trace.status == "waiting":  # an eval asks nobody: what waits for a person is over, and wrong
            await runner.cancel(trace_id, by=AUTHOR, uid=stream.uid)
            trace = await self.store.traces.get_trace(trace_id, uid=stream.uid)
            assert trace is not None
        return trace, error

    def _fresh(self, runner: ArmRunner, stream: Stream, task: Task) -> AsyncIterator[AgentEvent]:
        options = self.options
        settings = dict(options.settings)
        if options.gives_seed:
            settings.setdefault("seed", int(_draw(self.setting.digest, stream.seed, task.task_id, "model") * 2**31))
        return runner.run(
            task.task,
            system_prompt=task.system if task.system is not None else options.system,
            model=self.model,
            tools=list(task.tools or options.tools) or None,
            agent_type=task.agent_type or options.agent_type,
            uid=stream.uid,
            max_iterations=task.max_iterations or options.max_iterations,
            enable_memory=stream.arm != "none",
            **settings,
        )


async def _follow(events: AsyncIterator[AgentEvent], trace_id: str = "") -> tuple[str, str | None]:
    """Return the id of a run that was driven until it rests, and why it failed."""
    try:
        async for event in events:
            trace_id = event.data.get("trace_id") or trace_id
    except Exception as error:  # whatever failed the run is on its record, and in its cell
        if not trace_id:
            raise
        return trace_id, f"{type(error).__name__}: {error}"
    return trace_id, None


def finished_of(trace: Trace, steps: Sequence[Step], task: Task) -> Finished:
    """Return a run as a scorer sees it."""
    data = next((step.data for step in reversed(steps) if step.step_type == "conclusion"), {})
    return Finished(
        trace_id=trace.trace_id,
        task_id=task.task_id,
        task=task.task,
        expected=task.expected,
        answer=str(data.get("content") or ""),
        output=data.get("output"),
        status=trace.status,
        steps=tuple(steps),
    )


def _seconds(step: Step) -> float:
    took = step.data.get("took_s", 0.0) if step.step_type in ("llm_call", "tool_call") else 0.0
    return took if isinstance(took, int | float) else 0.0


def _draw(*parts: Any) -> float:
    """Return a number from 0 to 1 that depends on `parts` alone: common to all arms, and to all lives of an eval."""
    return random.Random("/".join(map(str, parts))).random()  # noqa: S311  no secret


def _fair(config: AgentConfig) -> AgentConfig:
    """Return a configuration in which memory holds nothing back to be measured: the arms do that."""
    return config_with(config, withhold=0.0)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error that stopped an eval."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _check(options: EvalOptions, tasks: TaskSet, tools: ToolRegistry) -> None:
    """Refuse what cannot be run, before anything does.

    Raises:
        BadInput: says what, and what is allowed.
        ToolNotFound: a task names a tool that is not registered.
    """
    unknown = [arm for arm in options.arms if arm not in ARMS]
    if unknown or not options.arms:
        raise BadInput(f"arms are {', '.join(ARMS)}, not {', '.join(map(repr, unknown)) or 'none at all'}")
    if not 1 <= options.seeds <= MAX_SEEDS:
        raise BadInput(f"seeds must be 1 to {MAX_SEEDS}, not {options.seeds}")
    if not 0 <= options.corrections <= 1:
        raise BadInput(f"corrections is a share from 0 to 1, not {options.corrections}")
    if "placebo" in options.arms and "memory" not in options.arms:
        raise BadInput("the arm placebo is as long as what memory tells: add the arm memory")
    names = dict.fromkeys(name for task in tasks.tasks for name in task.tools or options.tools)
    unsafe = [name for name in names if tools.get(name).effect != "read"]
    if unsafe and not options.may_use_unsafe:
        raise BadInput(
            f"the tools {', '.join(unsafe)} change things, and an eval would call them again and again: "
            "name tools that only stand in for them (effect='read'), or allow it with --allow-effects"
        )
