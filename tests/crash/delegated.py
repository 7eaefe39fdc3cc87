"""What the child processes of the crash tests with sub-agents do: a run whose agents call agents and pay, killed where it is told to be."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.runner import AgentRunner
from agent.testing.crash import Journal, KillPoints, arm
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

COST = 0.5  # of each model call
CONFIG = AgentConfig(enable_memory=False)


class Model(ScriptedLLM):
    """Tells the journal of each call that begins."""

    def __init__(self, name: str, lines: list[Any], journal: Journal, points: KillPoints) -> None:
        super().__init__(lines)
        self.name, self.journal, self.points = name, journal, points

    async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
        """Return the next line."""
        self.points.reached(f"before model of {self.name}")
        self.journal.add("model", self.name, sum(message["role"] == "assistant" for message in messages))
        reply = await super().__call__(messages, model, tools, **settings)
        self.points.reached(f"after model of {self.name}")
        return reply


def scripts() -> dict[str, list[Any]]:
    """Return what each agent says: the root asks `helper` and pays, `helper` asks `leaf`, `leaf` pays and looks."""
    return {
        "root": [asks(tool_request("helper", {"task": "help"}), tool_request("pay", {"n": 1}), cost=COST), says("done", cost=COST)],
        "helper": [asks(tool_request("leaf", {"task": "pay"}), cost=COST), says("helped", cost=COST)],
        "leaf": [asks(tool_request("pay", {"n": 2}), tool_request("look", {"n": 3}), cost=COST), says("paid", cost=COST)],
    }


def tools_of(journal: Journal, points: KillPoints) -> ToolRegistry:
    """Return tools whose effects are lines in the journal, and the agents."""
    registry = ToolRegistry()

    def effect(ctx: ToolContext, n: int) -> str:
        points.reached(f"before effect {n}")
        journal.add("effect", n, ctx.idempotency_key, os.getpid())
        points.reached(f"after effect {n}")
        return f"done {n}"

    @registry.tool(effect="unsafe")
    async def pay(ctx: ToolContext, n: int) -> str:
        "Pay."
        return effect(ctx, n)

    @registry.tool(effect="read")
    async def look(ctx: ToolContext, n: int) -> str:
        "Look."
        return effect(ctx, n)

    said = scripts()
    registry.add_agent("leaf", "Pays.", llm_call=Model("leaf", said["leaf"], journal, points), tools=["pay", "look"])
    registry.add_agent("helper", "Helps.", llm_call=Model("helper", said["helper"], journal, points), tools=["leaf"])
    return registry


def live(folder: str, kill_at: int | None, *, is_first: bool) -> None:
    """Begin the run in this process, or resume the one that is there; the points it came by go to a file at the end."""
    asyncio.run(_live(Path(folder), kill_at, is_first=is_first))


async def _live(folder: Path, kill_at: int | None, *, is_first: bool) -> None:
    points, journal = KillPoints(kill_at), Journal(folder / "journal")
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        arm(store.traces, points)
        model = Model("root", scripts()["root"], journal, points)
        async with AgentRunner(store.traces, tool_registry=tools_of(journal, points), llm_call=model, config=CONFIG) as runner:
            if is_first:
                await collect(runner.run("go", tools=["helper", "pay"]))
            else:
                [root] = [trace for trace in await store.traces.list_traces() if trace.parent_trace_id is None]
                await collect(runner.resume(root.trace_id))
    (folder / f"points-{os.getpid()}.json").write_text(json.dumps(points.names))
