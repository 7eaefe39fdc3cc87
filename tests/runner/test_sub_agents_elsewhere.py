"""Agents that call agents, where another process has a word: it cancels, takes over, resumes, forks or prunes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.assemble import open_store
from agent.clock import now
from agent.config import AgentConfig
from agent.errors import ToolNotFound
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request
from agent.tools.registry import ToolRegistry

sys.path.insert(0, str(Path(__file__).parent))

from calling_agents import add, call, ending, resume, run, told, traces, when_written  # type: ignore[import-not-found]  # it lies beside this file


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        yield store


@pytest.fixture
async def elsewhere(tmp_path: Path, here: Store) -> AsyncIterator[Store]:
    """The same file, opened by another owner, as another process would."""
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        yield store


def runner_of(store: Store, tools: ToolRegistry) -> AgentRunner:
    model = ScriptedLLM([asks(call(), cost=4.0), says("done", cost=4.0)])
    config = AgentConfig(cancel_grace_s=0.01, enable_memory=False, control_interval_s=0.02)
    return AgentRunner(store.traces, tool_registry=tools, llm_call=model, config=config)


def hanging(tools: ToolRegistry) -> asyncio.Event:
    """Offer an agent whose tool hangs at its first attempt; the event is set when it does."""
    at_work = asyncio.Event()

    @tools.tool(effect="read")
    async def hang() -> str:
        "Hang the first time."
        if at_work.is_set():
            return "done"
        at_work.set()
        await asyncio.Event().wait()
        return ""

    add(tools, asks(tool_request("hang"), cost=1.0), says("helped", cost=2.0), tools=["hang"])
    return at_work


async def test_a_cancel_from_another_process_reaches_down(here: Store, elsewhere: Store, tools: ToolRegistry) -> None:
    at_work = hanging(tools)
    async with runner_of(here, tools) as runner, AgentRunner(elsewhere.traces) as other:
        stream = runner.run("go", tools=["helper"])
        [first] = await read_until(stream, "trace_started")
        async with asyncio.timeout(10):
            await at_work.wait()
        await other.cancel(first.data["trace_id"], by="ann")
        events = await collect(stream)
        found = await traces(here)

    assert events[-1].type == "trace_cancelled"
    assert [found[kind].status for kind in ("default", "helper")] == ["cancelled"] * 2
    assert found["default"].total_cost == 5.0


async def test_a_cancel_of_a_run_that_nobody_drives_ends_and_counts_what_is_below(here: Store, elsewhere: Store, tools: ToolRegistry) -> None:
    at_work = hanging(tools)
    runner = runner_of(here, tools)
    stream = runner.run("go", tools=["helper"])
    [first] = await read_until(stream, "trace_started")
    async with asyncio.timeout(10):
        await at_work.wait()
    await runner.aclose()
    async with AgentRunner(elsewhere.traces, tool_registry=tools) as other:
        await other.cancel(first.data["trace_id"], by="ann")
        await other.cancel(first.data["trace_id"], by="ben")
        pending = await other.pending()
    found = await traces(elsewhere)

    assert [found[kind].status for kind in ("default", "helper")] == ["cancelled"] * 2
    assert found["default"].total_cost == 5.0
    assert pending == []


async def test_a_sub_agents_run_is_not_taken_up_alone_after_its_caller_was_cancelled(here: Store, elsewhere: Store, tools: ToolRegistry) -> None:
    at_work = hanging(tools)
    runner = runner_of(here, tools)
    stream = runner.run("go", tools=["helper"])
    [first] = await read_until(stream, "trace_started")
    async with asyncio.timeout(10):
        await at_work.wait()
    await runner.aclose()
    root = first.data["trace_id"]
    await elsewhere.traces.update_trace(root, status="cancelled")  # whoever cancelled it died over that
    async with runner_of(elsewhere, tools) as other:
        events = await resume(other, f"{root}.1.0")

    assert events == []
    assert (await traces(elsewhere))["helper"].status == "cancelled"


async def test_who_takes_a_run_over_from_a_living_owner_takes_what_is_below(here: Store, elsewhere: Store, tools: ToolRegistry) -> None:
    at_work = hanging(tools)
    async with runner_of(here, tools) as runner, runner_of(elsewhere, tools) as other:
        stream = runner.run("go", tools=["helper"])
        [first] = await read_until(stream, "trace_started")
        async with asyncio.timeout(10):
            await at_work.wait()
        events = await resume(other, first.data["trace_id"], take_over=True)

    assert told(events) == ["helped"]
    assert ending(events)["total_cost"] == 11.0
    assert events[-1].type == "trace_completed"


async def test_a_run_that_another_process_drives_below_is_waited_for(here: Store, elsewhere: Store, tools: ToolRegistry) -> None:
    go = asyncio.Event()

    @tools.tool(effect="unsafe", requires_confirmation=True)
    async def settle() -> str:
        "Pay when told to."
        await go.wait()
        return "paid"

    add(tools, asks(tool_request("settle")), "helped", tools=["settle"])
    async with runner_of(here, tools) as runner, runner_of(elsewhere, tools) as other:
        waiting = await run(runner)
        [item] = await runner.pending()
        await runner.decide(item.trace_id, item.call_id, "approve")
        begun = when_written(elsewhere, lambda step: step.step_type == "tool_started")
        alone = asyncio.ensure_future(resume(other, item.trace_id))
        async with asyncio.timeout(10):
            await begun.wait()
        again = when_written(here, lambda step: step.step_type == "tool_started")
        whole = asyncio.ensure_future(resume(runner, ending(waiting)["trace_id"]))
        async with asyncio.timeout(10):
            await again.wait()
        go.set()
        below, events = await alone, await whole

    assert types_of(below)[-1] == types_of(events)[-1] == "trace_completed"
    assert told(events) == ["helped"]


async def test_a_process_that_does_not_know_the_agent_at_work_leaves_its_run_alone(here: Store, tools: ToolRegistry) -> None:
    add(tools, asks(tool_request("pay", {"to": "ann"})), "helped", tools=["pay"])
    async with runner_of(here, tools) as runner:
        waiting = await run(runner)
        [item] = await runner.pending()
        await runner.decide(item.trace_id, item.call_id, "approve")
    async with runner_of(here, ToolRegistry()) as other:
        with pytest.raises(ToolNotFound, match="carries out a call of this agent"):
            await resume(other, ending(waiting)["trace_id"])

    assert (await traces(here))["default"].status == "waiting"


async def test_a_fork_of_a_run_whose_agent_waits_asks_before_it_calls_it_again(here: Store, tools: ToolRegistry, done: list[str]) -> None:
    add(tools, asks(tool_request("pay", {"to": "ann"})), "helped", tools=["pay"])
    async with runner_of(here, tools) as runner:
        waiting = await run(runner)
        root = ending(waiting)["trace_id"]
        last = (await here.traces.head(root)).next_sequence - 1
        fork = await runner.fork(root, last)
        events = await resume(runner, fork)
        [item] = await runner.pending(trace_id=fork)

        assert events[-1].type == "trace_waiting"
        assert (item.trace_id, item.tool_name) == (fork, "helper")
        assert done == []
        await runner.decide(fork, item.call_id, "approve")
        await resume(runner, fork)
        [own] = await runner.pending(trace_id=fork)
        [others] = await runner.pending(trace_id=root)

    assert own.trace_id == f"{fork}.1.0"
    assert others.trace_id == f"{root}.1.0"


async def test_a_pruned_store_keeps_runs_below_one_that_may_go_on(store: Store, tools: ToolRegistry) -> None:
    add(tools, "helped")
    async with runner_of(store, tools) as runner:
        await run(runner)
        later = now() + timedelta(hours=1)
        root = (await traces(store))["default"].trace_id
        await store.traces.update_trace(root, status="paused")
        kept = await store.traces.prune(before=later)
        await store.traces.update_trace(root, status="completed")
        gone = await store.traces.prune(before=later)

    assert kept == []
    assert gone == [f"{root}.1.0", root]


async def test_a_log_that_names_anothers_run_as_its_own_neither_sees_nor_stops_it(here: Store, tools: ToolRegistry) -> None:
    async with AgentRunner(here.traces, tool_registry=tools, llm_call=ScriptedLLM([asks(tool_request("pay", {"to": "x"})), "done"])) as runner:
        anns = await run(runner, "pay", uid="ann")
        eves = await run(runner, "pay", uid="eve")
        mine, theirs = ending(eves)["trace_id"], ending(anns)["trace_id"]
        [call_id] = ending(eves)["call_ids"]
        at = (await here.traces.head(mine)).next_sequence
        await here.traces.add_step(Step.create(mine, "subrun", at, {"call_id": call_id, "trace_id": theirs}))
        seen = await runner.pending(uid="eve", trace_id=mine)
        await runner.cancel(mine, uid="eve")

    assert {item.trace_id for item in seen} <= {mine}
    assert (await here.traces.head(theirs)).trace.status == "waiting"
