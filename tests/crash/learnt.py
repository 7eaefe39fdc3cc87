"""What the child process of the test of learning does: say what was wrong with a run, and die where it is told to."""

import asyncio
import json
from pathlib import Path

from agent.assemble import open_store
from agent.runner import AgentRunner
from agent.testing.crash import KillPoints, arm_store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

WORDS = "Look in the other place."
RIGHT = {"tool_name": "search", "arguments": {"n": 2}}


def runner_of(store: object) -> AgentRunner:
    """Return a runner that looks once and is done."""
    tools = ToolRegistry()

    @tools.tool(effect="read")
    async def look(n: int) -> str:
        "Look."
        return f"seen {n}"

    llm = ScriptedLLM([asks(tool_request("look", {"n": 1})), "done"])
    return AgentRunner(store.traces, store.memories, store.states, tools, llm)  # type: ignore[attr-defined]


async def run_once(url: str) -> list[str]:
    """Run the task, and return the ids of the experiences that it was told."""
    async with open_store(url) as store, runner_of(store) as runner:
        events = await collect(runner.run("find the order", tools=["look"]))
        return next(event.data["experience_ids"] for event in events if event.type == "memory_loaded")


async def say(folder: Path, kill_at: int | None) -> None:
    """Give feedback, say how it went, and change the feedback; die at a point."""
    points = KillPoints(kill_at)
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        (trace,) = await store.traces.list_traces()
        arm_store(store, points)
        async with runner_of(store) as runner:
            target = next(step for step in await store.traces.read_steps(trace.trace_id) if step.step_type == "tool_call")
            await runner.add_feedback(trace.trace_id, target.step_id, "correction", WORDS, corrected=RIGHT)
            points.reached("between")
            (given,) = await runner.feedback.list(trace.trace_id)
            await runner.feedback.edit(trace.trace_id, given.feedback_id, content=f"{WORDS} Always.")
    (folder / "points.json").write_text(json.dumps(points.names))


def live(folder: str, kill_at: int | None) -> None:
    """Be the child process."""
    asyncio.run(say(Path(folder), kill_at))
