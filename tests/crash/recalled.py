"""What the child process of the test of recall does: begin a run that memory has advice for, and die where it is told to."""

import asyncio
import json
from pathlib import Path

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.models.learning import Case
from agent.models.memory import Experience
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store
from agent.testing.crash import KillPoints, arm_store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM
from agent.tools.registry import ToolRegistry

TASK, SCOPE = "find the order", "agent:default"


async def learn(store: Store) -> None:
    """Give the memory advice and a rule for the task."""
    assert isinstance(store.memories, LearningStore)
    known = [Case(case_id=str(n), scope=SCOPE, uid="u", task=TASK, tool="look", sign=1, signal="outcome", trace_id=f"t{n}", step_id=f"t{n}/1") for n in (1, 2)]
    await store.memories.add_cases(known)
    await store.memories.add_experience(Experience.create(SCOPE, TASK, "name the day", uid="u", experience_id="first"))


def runner_of(store: Store, seed: int) -> AgentRunner:
    """Return a runner that withholds half of all advice, by the chance of this seed."""
    tools = ToolRegistry()

    @tools.tool(effect="read")
    async def look(n: int) -> str:
        "Look."
        return f"seen {n}"

    config = AgentConfig(withhold=0.5, withhold_from=1, withhold_seed=seed)
    return AgentRunner(store.traces, store.memories, store.states, tools, ScriptedLLM(["done"]), config)


async def begin(folder: Path, seed: int, kill_at: int | None) -> None:
    """Run the task; die at a point."""
    points = KillPoints(kill_at)
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        arm_store(store, points)
        async with runner_of(store, seed) as runner:
            await collect(runner.run(TASK, tools=["look"], uid="u"))
    (folder / "points.json").write_text(json.dumps(points.names))


async def go_on(folder: Path, seed: int) -> bool:
    """Take the run up in this process, where there is one, after more was learnt; return whether there was one."""
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        traces = await store.traces.list_traces()
        await store.memories.add_experience(Experience.create(SCOPE, TASK, "came later", uid="u", experience_id="later"))
        async with runner_of(store, seed) as runner:
            for trace in traces:
                await collect(runner.resume(trace.trace_id))
        return bool(traces)


def live(folder: str, seed: int, kill_at: int | None) -> None:
    """Be the child process."""
    asyncio.run(begin(Path(folder), seed, kill_at))
