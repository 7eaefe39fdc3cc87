"""Transactional tools: their changes of states and their results are one commit."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.errors import BadInput, Unsupported, VersionConflict
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.storage.ram.states import RamStateStore
from agent.testing.listening import collect, read_until
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

Make = Callable[..., AgentRunner]


@pytest.fixture
def tools() -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="transactional")
    async def count(ctx: ToolContext, by: int) -> str:
        "Count."
        before = await ctx.state.get("n") or 0
        await asyncio.sleep(0)
        await ctx.state.set("n", before + by)
        return f"{before} and {by} is {await ctx.state.get('n')}"

    @registry.tool(effect="transactional")
    async def count_and_fail(ctx: ToolContext) -> str:
        "Count, then raise."
        await ctx.state.set("n", 100)
        raise RuntimeError("out of order")

    @registry.tool(effect="transactional", timeout_s=0.02)
    async def count_and_hang(ctx: ToolContext) -> str:
        "Count, then hang."
        await ctx.state.set("n", 100)
        await asyncio.Event().wait()
        return ""

    return registry


async def results(store: Store, trace_id: str) -> list[dict[str, Any]]:
    return [step.data for step in await store.traces.read_steps(trace_id) if step.step_type == "tool_call"]


async def test_what_a_call_changes_is_there_with_its_result(make: Make, store: Store) -> None:
    runner = make(asks(tool_request("count", {"by": 2})), asks(tool_request("count", {"by": 3})), "done")
    stream, seen = runner.run("go", tools=["count"], uid="ada"), []
    async for event in stream:
        if event.type in ("tool_executing", "tool_result"):
            seen.append((event.type, await store.states.get("n", uid="ada")))
    told = [result["result"] for result in await results(store, event.data["trace_id"])]

    assert told == ["0 and 2 is 2", "2 and 3 is 5"]
    assert seen[-1] == ("tool_result", 5)
    assert await store.states.get("n", uid="anonymous") is None


@pytest.mark.parametrize("tool", ["count_and_fail", "count_and_hang"])
async def test_a_call_that_fails_changes_nothing_and_the_model_is_told(tool: str, make: Make, store: Store) -> None:
    runner = make(asks(tool_request(tool)), "done")
    events = await collect(runner.run("go", tools=[tool]))
    (result,) = await results(store, events[0].data["trace_id"])

    assert events[-1].type == "trace_completed"
    assert result["is_ok"] is False
    assert await store.states.list(uid="anonymous") == []


async def test_calls_at_once_lose_no_change(make: Make, store: Store) -> None:
    runner = make(asks(*[tool_request("count", {"by": 1}) for _ in range(20)]), "done")
    events = await collect(runner.run("go", tools=["count"]))

    assert events[-1].type == "trace_completed"
    assert [result.get("is_ok", True) for result in await results(store, events[0].data["trace_id"])] == [True] * 20
    assert await store.states.get("n", uid="anonymous") == 20


async def test_runs_at_once_lose_no_change(make: Make, store: Store) -> None:
    runners = [
        make(asks(tool_request("count", {"by": 1})), asks(tool_request("count", {"by": 1})), "done", config={"max_state_attempts": 100}) for _ in range(8)
    ]
    await asyncio.gather(*(collect(runner.run("go", tools=["count"])) for runner in runners))

    assert await store.states.get("n", uid="anonymous") == 16


async def test_a_conflict_at_the_commit_runs_the_call_again_on_what_is_there_now(make: Make, store: Store, tools: ToolRegistry) -> None:
    attempts: list[Any] = []

    @tools.tool(effect="transactional")
    async def claim(ctx: ToolContext) -> str:
        "Take a seat."
        free = await ctx.state.get("free")
        attempts.append(free)
        if len(attempts) == 1:
            await store.states.set("free", 1, uid="anonymous")  # another process
        await ctx.state.set("free", free - 1)
        return f"{free - 1} left"

    await store.states.set("free", 9, uid="anonymous")
    events = await collect(make(asks(tool_request("claim")), "done").run("go", tools=["claim"]))

    assert attempts == [9, 1]
    assert [result["result"] for result in await results(store, events[0].data["trace_id"])] == ["0 left"]
    assert await store.states.get("free", uid="anonymous") == 0


async def test_after_too_many_conflicts_the_model_is_told_and_nothing_was_changed(make: Make, store: Store, tools: ToolRegistry) -> None:
    attempts: list[int] = []

    @tools.tool(effect="transactional")
    async def contested(ctx: ToolContext) -> str:
        "Meet another writer, always."
        attempts.append(1)
        await ctx.state.set("mine", len(attempts))
        await ctx.state.get("theirs")
        await store.states.set("theirs", len(attempts), uid="anonymous")
        return "done"

    events = await collect(make(asks(tool_request("contested")), "done", config={"max_state_attempts": 3}).run("go", tools=["contested"]))
    (result,) = await results(store, events[0].data["trace_id"])

    assert len(attempts) == 3
    assert (result["is_ok"], result["error_type"]) == (False, "VersionConflict")
    assert "in 3 attempts" in result["result"]
    assert await store.states.get("mine", uid="anonymous") is None


async def test_a_version_that_the_tool_itself_got_wrong_is_its_error(make: Make, store: Store, tools: ToolRegistry) -> None:
    @tools.tool(effect="transactional")
    async def wrong(ctx: ToolContext) -> str:
        "Believe in another version."
        await ctx.state.set("a", 1)
        try:
            await ctx.state.set("a", 2, if_version=7)
        except VersionConflict:
            return "refused"
        return "taken"

    await collect(make(asks(tool_request("wrong")), "done").run("go", tools=["wrong"]))

    assert [(e.key, e.value) for e in await store.states.list(uid="anonymous")] == [("a", 1)]


async def test_what_a_call_leaves_behind_changes_nothing_after_its_end(make: Make, store: Store, tools: ToolRegistry) -> None:
    late: list[asyncio.Task[int]] = []
    go = asyncio.Event()

    @tools.tool(effect="transactional")
    async def leaky(ctx: ToolContext) -> str:
        "Leave a task behind."

        async def write() -> int:
            await go.wait()
            version: int = await ctx.state.set("late", 1)
            return version

        late.append(asyncio.ensure_future(write()))
        await ctx.state.set("a", 1)
        return "done"

    await collect(make(asks(tool_request("leaky")), "done").run("go", tools=["leaky"]))
    go.set()
    with pytest.raises(BadInput, match="is over"):
        await late[0]

    assert [e.key for e in await store.states.list(uid="anonymous")] == ["a"]


async def test_a_call_that_is_cancelled_before_its_commit_changes_nothing(make: Make, store: Store, tools: ToolRegistry) -> None:
    began = asyncio.Event()

    @tools.tool(effect="transactional")
    async def slow(ctx: ToolContext) -> str:
        "Change, then wait."
        await ctx.state.set("a", 1)
        began.set()
        await asyncio.Event().wait()
        return ""

    runner = make(asks(tool_request("slow")), "done", config={"cancel_grace_s": 0.01})
    stream = runner.run("go", tools=["slow"])
    trace_id = (await read_until(stream, "tool_executing"))[0].data["trace_id"]
    await began.wait()
    await runner.cancel(trace_id)
    events = await collect(stream)

    assert events[-1].type == "trace_cancelled"
    assert await runner.pending() == []
    assert await store.states.list(uid="anonymous") == []


class SeedStore:
    """Has the seed's methods only."""

    def __init__(self, store: Store) -> None:
        for name in ("create_trace", "add_step", "update_trace", "get_trace", "get_trace_steps"):
            setattr(self, name, getattr(store.traces, name))


async def test_where_traces_and_states_are_not_one_database_the_run_is_refused_before_it_begins(store: Store, tools: ToolRegistry, tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'other.db'}") as other:
        elsewhere = other.states
        cases: list[tuple[Any, Any, str]] = [
            (store.traces, None, "no state store"),
            (store.traces, elsewhere, "do not lie in one database"),
            (None, store.states, "cannot commit states together with steps"),
            (SeedStore(store), RamStateStore(), "cannot commit states together with steps"),
            (store.traces, SeedStates(), "do not lie in one database"),
        ]
        for traces, states, why in cases:
            async with AgentRunner(traces, None, states, tools, ScriptedLLM(["done"]), AgentConfig()) as runner:
                with pytest.raises(Unsupported, match=f"'count' is transactional, and .*{why}"):
                    await collect(runner.run("go", tools=["count"]))
                if traces is not None and states is None:
                    await collect(runner.run("go"))  # without the tool there is nothing to refuse
    assert len(await store.traces.list_traces()) == 1


class SeedStates:
    """A state store of somebody else's."""

    async def get(self, key: str, *, uid: str | None = None) -> Any:
        return None

    async def set(self, key: str, value: Any, *, uid: str | None = None, if_version: int | None = None, ttl_s: float | None = None) -> int:
        return 1

    async def delete(self, key: str, *, uid: str | None = None) -> bool:
        return False

    async def list(self, prefix: str = "", *, uid: str | None = None) -> list[Any]:
        return []


async def test_a_run_with_transactional_tools_is_resumed_only_where_they_can_be_kept(make: Make, store: Store) -> None:
    first = make(lambda messages: RuntimeError("no network"))
    events: list[Any] = []
    with pytest.raises(RuntimeError):
        await collect(first.run("go", tools=["count"]), into=events)
    trace_id = events[0].data["trace_id"]

    with pytest.raises(Unsupported, match="no state store"):
        await collect(make("done", state_store=None).resume(trace_id))
    assert (await collect(make("done").resume(trace_id)))[-1].type == "trace_completed"
