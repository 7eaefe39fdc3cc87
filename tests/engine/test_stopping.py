"""Cancelling at every moment: the trace ends well, nothing is left running, no unsafe effect is lost."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.core.fold import fold, history
from agent.errors import RunError
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.storage.ram.store import RamStore
from agent.testing.listening import collect, read_until
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import StreamingScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

SCRIPT: list[Any] = [
    asks(tool_request("pay", {"n": 1})),
    asks(tool_request("pay", {"n": 2}), tool_request("look", {"n": 3}), tool_request("pay", {"n": 4}), tool_request("count", {"n": 5})),
    asks(tool_request("look_in_thread", {"n": 6}), tool_request("pay", {"n": 7})),
    "done",
]
MAX_TURNS = 2_000  # of the event loop in one run


class World:
    """What the tools really did."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.paid: list[str] = []


def tools_of(world: World) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="unsafe")
    async def pay(ctx: ToolContext, n: int) -> str:
        "Pay, with moments in which it can be stopped before and after."
        world.begun.append(ctx.call_id)
        for _ in range(4):
            await asyncio.sleep(0)
        world.paid.append(ctx.call_id)
        for _ in range(4):
            await asyncio.sleep(0)
        return f"paid {n}"

    @registry.tool(effect="read")
    async def look(n: int) -> str:
        "Look."
        await asyncio.sleep(0)
        return f"seen {n}"

    @registry.tool(effect="read")
    def look_in_thread(n: int) -> str:
        "Look in a thread."
        return f"seen {n}"

    @registry.tool(effect="transactional")
    async def count(ctx: ToolContext, n: int) -> str:
        "Count."
        await ctx.state.set("n", (await ctx.state.get("n") or 0) + 1)
        await asyncio.sleep(0)
        return f"counted {n}"

    return registry


class Turns:
    """Does something at the n-th turn of the event loop from now on."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.at, self.act, self.count, self.is_over = at, act, 0, False
        asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        if self.is_over:
            return
        if self.count == self.at:
            self.is_over = True
            self.act()
            return
        self.count += 1
        asyncio.get_running_loop().call_soon(self._tick)


def check(world: World, steps: list[Step], status: str, counted: int | None) -> None:
    """Compare the record with what the tools did."""
    state = fold(steps)
    results = {step.data["call_id"]: step for step in steps if step.step_type == "tool_call"}
    announced = {step.data["call_id"] for step in steps if step.step_type == "tool_started"}
    doubted = {step.data["call_id"] for step in steps if step.step_type == "in_doubt"}
    in_flight = {call_id for step in steps if step.step_type == "cancelled" for call_id in step.data.get("in_flight", ())}

    assert status in ("cancelled", "completed")
    assert set(world.begun) <= announced, "a tool got control unannounced"
    assert len(world.paid) == len(set(world.paid)), "paid twice"
    assert set(world.paid) <= doubted | {call_id for call_id, step in results.items() if step.data.get("is_ok", True)}, "an effect was lost"
    assert announced <= doubted | set(results), "a call was left open"
    if status == "cancelled":
        assert announced - set(results) <= in_flight, "what was in flight is not named"
        assert set(state.waiting_calls) == doubted
    assert shape_faults(history(state)) == []
    assert (counted or 0) == sum(step.data["tool_name"] == "count" and step.data.get("is_ok", True) for step in results.values())


async def left_over(before: set[Any]) -> list[str]:
    """Return the names of tasks that are still there once their turn has come."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.get_name() for task in asyncio.all_tasks() - before if not task.done()]


def tool_threads() -> int:
    return sum(thread.name.startswith("seasoned-tool") for thread in threading.enumerate())


async def cancelled_at(turn: int, store: Store, by_whom: str) -> bool:
    """Run, and cancel at a turn of the loop; return whether the run was over before."""
    world, before = World(), asyncio.all_tasks()
    runner = AgentRunner(store.traces, None, store.states, tools_of(world), StreamingScriptedLLM(SCRIPT), AgentConfig(cancel_grace_s=0.01, parallel_tools=3))
    other = AgentRunner(store.traces, tool_registry=ToolRegistry(), llm_call=StreamingScriptedLLM([]))
    names = ["pay", "look", "look_in_thread", "count"]
    stream = runner.run("go", tools=names)
    (first,) = await read_until(stream, "trace_started")
    trace_id = first.data["trace_id"]
    cancelling: list[asyncio.Future[None]] = []
    turns = Turns(turn, lambda: cancelling.append(asyncio.ensure_future((runner if by_whom == "runner" else other).cancel(trace_id, by="me"))))
    events = await collect(stream)
    was_over, turns.is_over = not cancelling, True
    for future in cancelling:
        await asyncio.gather(future, return_exceptions=True)
        assert future.exception() is None or isinstance(future.exception(), RunError), future.exception()
    trace = await store.traces.get_trace(trace_id)
    await runner.aclose()
    await other.aclose()

    assert trace is not None
    assert events[-1].type == f"trace_{trace.status}"
    check(world, await store.traces.read_steps(trace_id), trace.status, await store.states.get("n", uid="anonymous"))
    assert (await store.traces.head(trace_id)).owner is None
    assert await left_over(before) == []
    return was_over


@pytest.mark.parametrize("by_whom", ["runner", "other"])
async def test_a_run_cancelled_at_any_turn_of_the_loop_ends_well(by_whom: str) -> None:
    for turn in range(MAX_TURNS):
        async with asyncio.timeout(20):
            try:
                if await cancelled_at(turn, RamStore(), by_whom):
                    break
            except AssertionError as error:
                raise AssertionError(f"cancelled at turn {turn}") from error

    assert turn > 30, "the run was over too soon to have been cancelled at its moments"
    assert tool_threads() <= 1


async def abandoned_at(turn: int, store: Store) -> bool:
    """Run, and cancel the reader's task at a turn of the loop; return whether it was over before."""
    world, before = World(), asyncio.all_tasks()
    runner = AgentRunner(store.traces, None, store.states, tools_of(world), StreamingScriptedLLM(SCRIPT), AgentConfig(parallel_tools=3))
    reader = asyncio.ensure_future(collect(runner.run("go", tools=["pay", "look", "look_in_thread", "count"])))

    def stop_reading() -> None:
        reader.cancel()

    turns = Turns(turn, stop_reading)
    await asyncio.wait((reader,))
    was_over, turns.is_over = not reader.cancelled(), True
    for trace in await store.traces.list_traces():
        events = await collect(runner.watch(trace.trace_id))
        assert events[-1].type == "trace_completed", "the run did not go on without its reader"
        check(world, await store.traces.read_steps(trace.trace_id), "completed", await store.states.get("n", uid="anonymous"))
    await runner.aclose()
    assert await left_over(before) == []
    return was_over


async def test_a_run_whose_reader_is_cancelled_at_any_turn_of_the_loop_goes_on_to_its_end() -> None:
    for turn in range(MAX_TURNS):
        async with asyncio.timeout(20):
            try:
                if await abandoned_at(turn, RamStore()):
                    break
            except AssertionError as error:
                raise AssertionError(f"the reader was cancelled at turn {turn}") from error

    assert turn > 30


async def test_a_run_on_a_file_cancelled_at_many_turns_of_the_loop_ends_well(tmp_path: Path) -> None:
    for turn in (*range(0, 60, 5), *range(60, 400, 37)):
        async with asyncio.timeout(30), open_store(f"sqlite:///{tmp_path / f'{turn}.db'}") as store:
            await cancelled_at(turn, store, "runner")


async def parked_at(turn: int, store: Store) -> bool:
    """Run, close the runner at a turn of the loop, and go on with another one; return whether the run was over before."""
    world, before = World(), asyncio.all_tasks()
    names = ["pay", "look", "look_in_thread", "count"]
    runners = [AgentRunner(store.traces, None, store.states, tools_of(world), StreamingScriptedLLM(SCRIPT), AgentConfig(parallel_tools=3)) for _ in range(2)]
    closing: list[asyncio.Future[None]] = []
    stream = runners[0].run("go", tools=names)
    trace_id = (await read_until(stream, "trace_started"))[0].data["trace_id"]
    turns = Turns(turn, lambda: closing.append(asyncio.ensure_future(runners[0].aclose())))
    await collect(stream)
    was_over, turns.is_over = not closing, True
    await asyncio.gather(*closing)
    await collect(runners[1].resume(trace_id))
    while doubts := await runners[1].pending():
        for item in doubts:
            await runners[1].resolve(trace_id, item.call_id, "done" if item.call_id in world.paid else "retry")
        await collect(runners[1].resume(trace_id))
    for runner in runners:
        await runner.aclose()
    trace = await store.traces.get_trace(trace_id)

    assert trace is not None
    assert trace.status == "completed"
    assert len(world.paid) == len(set(world.paid)) == 4
    assert await store.states.get("n", uid="anonymous") == 1
    assert await left_over(before) == []
    return was_over


async def test_a_run_whose_process_lets_go_of_it_at_any_turn_of_the_loop_is_finished_by_another_and_pays_once() -> None:
    for turn in range(MAX_TURNS):
        async with asyncio.timeout(20):
            try:
                if await parked_at(turn, RamStore()):
                    break
            except AssertionError as error:
                raise AssertionError(f"closed at turn {turn}") from error

    assert turn > 30
