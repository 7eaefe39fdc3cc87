"""A run whose agents call agents, stopped at any turn of the loop: it ends well, and nothing is left, lost or counted twice."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.errors import RunError
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request
from agent.tools.registry import ToolRegistry

sys.path.insert(0, str(Path(__file__).parent))

from calling_agents import add, call, resume, traces  # type: ignore[import-not-found]  # it lies beside this file

COST = 0.5  # of each model call
TURNS = range(3, 44, 2)  # it is recorded at the second turn, and takes about forty


class Scene:
    """A run: the root asks `helper` and pays, `helper` asks `leaf`, `leaf` pays and looks."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.paid: list[int] = []
        self.tools = ToolRegistry()
        self.tools.register(self.pay, effect="unsafe")
        self.tools.register(self.look, effect="read")
        leaf = asks(tool_request("pay", {"n": 2}), tool_request("look"), cost=COST)
        add(self.tools, leaf, says("paid", cost=COST), name="leaf", tools=["pay", "look"])
        add(self.tools, asks(call("leaf"), cost=COST), says("helped", cost=COST), tools=["leaf"])

    async def pay(self, n: int) -> str:
        """Pay."""
        await asyncio.sleep(0)
        self.paid.append(n)
        await asyncio.sleep(0)
        return "paid"

    async def look(self) -> str:
        """Look."""
        await asyncio.sleep(0)
        return "seen"

    def runner(self) -> AgentRunner:
        model = ScriptedLLM([asks(call(), tool_request("pay", {"n": 1}), cost=COST), says("done", cost=COST)])
        config = AgentConfig(enable_memory=False, cancel_grace_s=0.01)
        return AgentRunner(self.store.traces, tool_registry=self.tools, llm_call=model, config=config)

    async def begin(self, runner: AgentRunner, turns: int) -> tuple[str, "asyncio.Future[Any]"]:
        """Return the run's id, and its reader, after so many turns of the loop."""

        async def read() -> None:
            async for _ in runner.run("go", tools=["helper", "pay"]):
                pass

        reading = asyncio.ensure_future(read())
        for _ in range(turns):
            await asyncio.sleep(0)
        found = await traces(self.store)
        return found["default"].trace_id, reading

    async def finish(self, root: str) -> None:
        """Go on until the run is done; say of each call in doubt what is true."""
        for _ in range(5):
            async with self.runner() as runner:
                await resume(runner, root)
                for item in await runner.pending():
                    await runner.resolve(item.trace_id, item.call_id, "done" if item.arguments["n"] in self.paid else "retry")
            if (await traces(self.store))["default"].status == "completed":
                return


def left_over() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("run ", "tool "))]


@pytest.mark.parametrize("turns", TURNS)
async def test_a_cancel_at_any_turn_ends_all_that_is_below(turns: int) -> None:
    async with open_store("memory://") as store:
        scene = Scene(store)
        async with scene.runner() as runner:
            root, reading = await scene.begin(runner, turns)
            with contextlib.suppress(RunError):  # it has its answer already
                await runner.cancel(root)
            async with asyncio.timeout(10):
                await reading
            left = left_over()
        found = await traces(store)
        costs = [step.data.get("cost") or 0.0 for trace in found.values() for step in await store.traces.read_steps(trace.trace_id)]

    assert left == []
    assert {trace.status for trace in found.values()} <= {"cancelled", "completed"}
    assert (found["default"].total_cost or 0.0) == sum(costs)  # None: nothing is known of it, where the first model call was cut off


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("how", ["let go", "paused"])
async def test_a_run_stopped_at_any_turn_goes_on_with_all_that_is_below(how: str, turns: int) -> None:
    async with open_store("memory://") as store:
        scene = Scene(store)
        async with scene.runner() as runner:
            root, reading = await scene.begin(runner, turns)
            if how == "paused":
                with contextlib.suppress(RunError):
                    await runner.pause(root)
                async with asyncio.timeout(10):
                    await reading
        async with asyncio.timeout(10):
            await reading
        left = left_over()
        await scene.finish(root)
        found = await traces(store)

    assert left == []
    assert {trace.agent_type: trace.status for trace in found.values()} == dict.fromkeys(("default", "helper", "leaf"), "completed")
    assert sorted(scene.paid) == [1, 2]
    assert found["default"].total_cost == 6 * COST
