"""Experiment 2, the rest: two users who contradict each other, a stranger's poison, and what was learnt long ago.

    python bench/learning/apart.py

The first two through AgentRunner and a store, and counted in the blocks that runs were told; the third in the pure form.
"""

import asyncio
from typing import Any

from arms import ARMS
from protocol import Draw, Luck, Task, draw
from simulate import Cell, World
from simulate import Run as PureRun

import agent

POISONED = 50
OLD, OLD_TASKS = 20, 500  # tools that only the first tasks are about, and how many tasks


class Told:
    """A model that does nothing but note what memory told it."""

    def __init__(self) -> None:
        self.block = ""

    async def __call__(self, messages: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        """Call the first tool, then end."""
        if messages[-1]["role"] == "tool":
            return {"content": "Done.", "tool_calls": None, "prompt_tokens": 1, "completion_tokens": 1}
        self.block = "\n".join(str(m["content"]) for m in messages if str(m.get("content")).startswith("<memory>"))
        call = {"id": "call-1", "function": {"name": "first", "arguments": "{}"}}
        return {"content": None, "tool_calls": [call], "prompt_tokens": 1, "completion_tokens": 1}


async def _done() -> str:
    """Do nothing."""
    return "ok"


class Shop:
    """A runner with three tools, used by several people."""

    def __init__(self, store: Any) -> None:
        self.model, tools = Told(), agent.ToolRegistry()
        for name in ("first", "second", "third"):
            tools.add(name, {"type": "object", "properties": {}}, _done, description=name, effect="read")
        self.runner = agent.AgentRunner(
            store.traces, store.memories, tool_registry=tools, llm_call=self.model, config=agent.AgentConfig(withhold=0.0, memory_timeout_s=60.0)
        )

    async def run(self, task: str, uid: str) -> tuple[str, str]:
        """Run a task; return its trace and the step of its call."""
        found = ("", "")
        async for event in self.runner.run(task, tools=["first", "second", "third"], agent_type="shop", uid=uid):
            if event.type == "tool_result":
                found = (event.data["trace_id"], event.data["step_id"])
        return found

    async def correct(self, task: str, uid: str, tool: str) -> None:
        """Run a task and say that another tool was right, in words and by its name."""
        trace_id, step_id = await self.run(task, uid)
        await self.runner.add_feedback(trace_id, step_id, "correction", f"Use {tool}, always.", corrected={"tool_name": tool}, by=uid, uid=uid)


async def conflict(tasks: list[str]) -> tuple[int, int, int]:
    """Return of how many runs what was told came from the other user, in how many it came from one's own, and how many runs there were."""
    async with agent.open_store("memory://") as store:
        shop = Shop(store)
        for task in tasks:
            await shop.correct(task, "ada", "second")
            await shop.correct(task, "bob", "third")
        leaks = own = 0
        for task in tasks:
            for uid, right, wrong in (("ada", "second", "third"), ("bob", "third", "second")):
                await shop.run(task, uid)
                leaks += wrong in shop.model.block
                own += right in shop.model.block
        await shop.runner.aclose()
    return leaks, own, 2 * len(tasks)


async def poison(tasks: list[str]) -> tuple[int, int]:
    """Return how many runs of one user were told any of what another wrote, and how many runs there were."""
    async with agent.open_store("memory://") as store:
        shop = Shop(store)
        for number in range(POISONED):
            await shop.correct(tasks[number % len(tasks)], "mallory", "third")
        reached = 0
        for task in tasks:
            await shop.run(task, "ada")
            reached += shop.model.block != ""
        await shop.runner.aclose()
    return reached, len(tasks)


def old_and_new(seed: int) -> tuple[float, float, float]:
    """Return the accuracy on tasks of the first tools: without memory, after the tasks that they came in, and after all others."""
    drawn = draw(seed, stream=4_000, held_out=1_500)
    early = frozenset(drawn.tools[::4][:OLD])
    about = [at for at, task in enumerate(drawn.stream) if task.tool in early][:OLD_TASKS]
    rest = [at for at, task in enumerate(drawn.stream) if task.tool not in early][: 2_000 - OLD_TASKS]
    exam = [at for at, task in enumerate(drawn.held_out) if task.tool in early]

    def picked(tasks: tuple[Task, ...], places: list[int]) -> tuple[Task, ...]:
        return tuple(tasks[at] for at in places)

    def lucks(luck: tuple[Luck, ...], places: list[int]) -> tuple[Luck, ...]:
        return tuple(luck[at] for at in places)

    order = about + rest
    world = Draw(
        picked(drawn.stream, order), lucks(drawn.luck, order), picked(drawn.held_out, exam), lucks(drawn.held_out_luck, exam), drawn.drifted, drawn.tools
    )
    none = PureRun(Cell(arm="none", seed=seed, world=World()), world, ARMS["none"]).run()
    full = PureRun(Cell(arm="full", seed=seed, world=World()), world, ARMS["full"]).run()
    return none.late.accuracy, full.early.accuracy, full.late.accuracy


def main() -> None:
    """Print what came of the three."""
    tasks = [task.text for task in draw(0).stream[:40]]
    leaks, own, runs = asyncio.run(conflict(tasks))
    print(f"two users in conflict: {leaks} leaks in {runs} runs; told of one's own in {own}")
    reached, runs = asyncio.run(poison(tasks))
    print(f"{POISONED} poisoned corrections by another uid: {reached} of {runs} runs were told anything")
    found = [old_and_new(seed) for seed in range(3)]
    none, early, late = (sum(values) / len(found) for values in zip(*found, strict=True))
    print(f"what was learnt in the first {OLD_TASKS} tasks: none {none:.3f}, right after {early:.3f}, after 1,500 tasks of other tools {late:.3f} (3 seeds)")


if __name__ == "__main__":
    main()
