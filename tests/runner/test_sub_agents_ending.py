"""How runs of agents that call agents end, and their bounds."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.errors import BadInput, ConfigInvalid, ToolFailed, ToolNotFound
from agent.models.memory import Experience
from agent.models.trace import Trace
from agent.storage.protocols import Store
from agent.testing.listening import collect, read_until
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request
from agent.tools.registry import ToolRegistry

sys.path.insert(0, str(Path(__file__).parent))

from calling_agents import Make, add, call, ending, resume, run, told, traces, when_written  # type: ignore[import-not-found]  # it lies beside this file

# ---- how it ends


async def test_an_agent_that_fails_is_an_error_that_the_model_is_told(make: Make, tools: ToolRegistry, store: Store) -> None:
    add(tools, RuntimeError("no such model"))
    events = await run(make(asks(call()), "done"))

    assert told(events) == ["The agent failed: RuntimeError: no such model"]
    assert [event.data["ok"] for event in events if event.type == "tool_result"] == [False]
    assert (await traces(store))["helper"].status == "failed"
    assert events[-1].type == "trace_completed"


async def test_an_agent_at_its_limit_gives_what_it_has(make: Make, tools: ToolRegistry, store: Store) -> None:
    model = ScriptedLLM([asks(tool_request("look", {"where": "x"})), "half of it"], by_calls=True)
    tools.add_agent("helper", "Helps.", llm_call=model, tools=["look"], max_iterations=1)
    events = await run(make(asks(call()), "done"))

    assert told(events) == ["[The agent reached its limit (max_iterations=1) before it was done. What it had:]\nhalf of it"]
    assert (await traces(store))["helper"].status == "limit_reached"


async def test_a_call_in_doubt_below_makes_the_parent_wait(make: Make, tools: ToolRegistry) -> None:
    add(tools, asks(tool_request("slow_pay")), "paid", tools=["slow_pay"])
    runner = make(asks(call()), "done")
    events = await run(runner)
    [item] = await runner.pending()
    await runner.resolve(item.trace_id, item.call_id, "done", result="it went out")
    after = await resume(runner, ending(events)["trace_id"])

    assert events[-1].type == "trace_waiting"
    assert (item.tool_name, item.reason) == ("slow_pay", "in_doubt")
    assert after[-1].type == "trace_completed"


async def test_of_two_agents_that_wait_one_goes_on_when_only_it_is_decided(make: Make, tools: ToolRegistry, done: list[str]) -> None:
    add(tools, asks(tool_request("pay", {"to": "ann"})), "paid ann", name="a", tools=["pay"])
    add(tools, asks(tool_request("pay", {"to": "ben"})), "paid ben", name="b", tools=["pay"])
    runner = make(asks(call("a"), call("b")), "done")
    root = ending(await run(runner, "a", "b"))["trace_id"]
    first, second = await runner.pending()
    await runner.decide(first.trace_id, first.call_id, "approve")
    between = await resume(runner, root)
    left = await runner.pending()
    await runner.decide(second.trace_id, second.call_id, "reject", reason="no")
    after = await resume(runner, root)

    assert told(between) == [f"paid {first.arguments['to']}"]
    assert between[-1].type == "trace_waiting"
    assert [item.trace_id for item in left] == [second.trace_id]
    assert after[-1].type == "trace_completed"
    assert done == [f"pay {first.arguments['to']}"]


async def test_a_request_that_expires_below_lets_all_go_on_when_resumed(make: Make, tools: ToolRegistry, done: list[str]) -> None:
    @tools.tool(effect="unsafe", requires_confirmation=True, expires=1e-6)
    async def brief() -> str:
        "Wait for a person, but not for long."
        done.append("brief")
        return ""

    add(tools, asks(tool_request("brief")), "too late", tools=["brief"])
    runner = make(asks(call()), "done")
    events = await run(runner)
    if events[-1].type == "trace_waiting":
        events = await resume(runner, ending(events)["trace_id"])

    assert told(events) == ["too late"]
    assert events[-1].type == "trace_completed"
    assert done == []


async def test_a_cancelled_agent_is_told_to_the_model(make: Make, tools: ToolRegistry) -> None:
    add(tools, asks(tool_request("pay", {"to": "ann"})), "paid", tools=["pay"])
    runner = make(asks(call()), "done")
    events = await run(runner)
    [item] = await runner.pending()
    await runner.cancel(item.trace_id, by="ann")
    after = await resume(runner, ending(events)["trace_id"])

    assert told(after) == ["The agent was cancelled."]
    assert after[-1].type == "trace_completed"


@pytest.fixture
def hanging(tools: ToolRegistry) -> asyncio.Event:
    """An agent `helper` → `leaf` with a tool that hangs; the event is set when it does."""
    at_work = asyncio.Event()

    @tools.tool(effect="unsafe")
    async def hang() -> str:
        "Hang."
        at_work.set()
        await asyncio.Event().wait()
        return ""

    add(tools, asks(tool_request("hang"), cost=1.0), "hung", name="leaf", tools=["hang"])
    add(tools, asks(call("leaf"), cost=2.0), "helped", tools=["leaf"])
    return at_work


async def test_a_cancel_reaches_down(make: Make, hanging: asyncio.Event, store: Store) -> None:
    runner = make(asks(call(), cost=4.0), "done", config={"cancel_grace_s": 0.01})
    stream = runner.run("go", tools=["helper"])
    [first] = await read_until(stream, "trace_started")
    async with asyncio.timeout(10):
        await hanging.wait()
    await runner.cancel(first.data["trace_id"], by="ann")
    events = await collect(stream)
    found = await traces(store)
    [item] = await runner.pending()

    assert events[-1].type == "trace_cancelled"
    assert [found[kind].status for kind in ("default", "helper", "leaf")] == ["cancelled"] * 3
    assert (item.trace_id, item.tool_name, item.reason) == (found["leaf"].trace_id, "hang", "in_doubt")
    assert found["default"].total_cost == 7.0
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("run ", "tool "))]


async def test_a_cancel_reaches_an_agent_that_waits(make: Make, tools: ToolRegistry, store: Store) -> None:
    add(tools, asks(tool_request("pay", {"to": "ann"})), "paid", tools=["pay"])
    runner = make(asks(call()), "done")
    events = await run(runner)
    await runner.cancel(ending(events)["trace_id"])
    found = await traces(store)

    assert [found[kind].status for kind in ("default", "helper")] == ["cancelled"] * 2
    assert await runner.pending() == []


async def test_a_pause_reaches_down_and_a_resume_takes_all_up_again(make: Make, tools: ToolRegistry, store: Store, done: list[str]) -> None:
    at_work, go = asyncio.Event(), asyncio.Event()

    @tools.tool(effect="read")
    async def slowly() -> str:
        "Take a while."
        at_work.set()
        await go.wait()
        done.append("slowly")
        return "slow"

    model = add(tools, asks(tool_request("slowly")), "helped", tools=["slowly"])
    runner = make(asks(call()), "done")
    stream = runner.run("go", tools=["helper"])
    [first] = await read_until(stream, "trace_started")
    async with asyncio.timeout(10):
        await at_work.wait()
    paused = when_written(store, lambda step: step.step_type == "paused" and step.trace_id.endswith(".2.0"))
    await runner.pause(first.data["trace_id"], by="ann")
    async with asyncio.timeout(10):
        await paused.wait()
    go.set()
    events = await collect(stream)
    found = await traces(store)
    asked_before = len(model.calls)
    after = await resume(runner, first.data["trace_id"])

    assert events[-1].type == "trace_paused"
    assert [found[kind].status for kind in ("default", "helper")] == ["paused"] * 2
    assert asked_before == 1
    assert after[-1].type == "trace_completed"
    assert done == ["slowly"]


# ---- bounds


async def test_agents_call_agents_only_so_deep(make: Make, tools: ToolRegistry, store: Store) -> None:
    def line(messages: list[dict[str, Any]]) -> Any:
        return says(messages[-1]["content"]) if messages[-1]["role"] == "tool" else asks(call("again"))

    tools.add_agent("again", "Calls itself.", tools=["again"])
    events = await run(make(llm=ScriptedLLM([line, line]), config={"max_agent_depth": 2}), "again")

    assert "agents may call agents only 2 deep" in told(events)[0]
    assert len(await store.traces.list_traces()) == 3


async def test_an_agent_uses_no_more_than_its_caller_has_left(make: Make, tools: ToolRegistry, store: Store, done: list[str]) -> None:
    look = asks(tool_request("look", {"where": "x"}), cost=1.0)
    add(tools, *[look] * 20, tools=["look"], max_iterations=20, limits={"max_cost": 100.0})
    events = await run(make(asks(call(), cost=1.0), says("done", cost=1.0)), limits={"max_cost": 4.0})
    [started] = [step for step in await store.traces.get_trace_steps((await traces(store))["helper"].trace_id) if step.step_type == "input"]

    assert started.data["limits"] == {"max_cost": 3.0}
    assert "reached its limit (max_cost=3.0)" in told(events)[0]
    assert events[-1].type == "limit_reached"
    assert len(done) == 2  # what the third reply asked for, by which the cost was used up, did not run


async def test_agents_at_work_at_the_same_time_share_what_is_left(make: Make, tools: ToolRegistry, store: Store) -> None:
    add(tools, "a", name="a")
    add(tools, "b", name="b")
    await run(make(asks(call("a"), call("b")), "done"), "a", "b", limits={"max_tool_calls": 7, "max_cost": 3.0})
    found = await traces(store)
    limits = [(await store.traces.get_trace_steps(found[name].trace_id))[0].data["limits"] for name in ("a", "b")]

    assert limits == [{"max_tool_calls": 3, "max_cost": 1.5}] * 2


async def test_when_the_callers_time_is_over_its_agents_end_with_it(make: Make, tools: ToolRegistry, store: Store) -> None:
    @tools.tool(effect="read")
    async def hang() -> str:
        "Hang."
        await asyncio.Event().wait()
        return ""

    add(tools, asks(tool_request("hang")), "hung", tools=["hang"])
    events = await run(make(asks(call()), "done", config={"cancel_grace_s": 0.01}), limits={"max_wall_s": 0.3})
    found = await traces(store)

    assert events[-1].type == "limit_reached"
    assert [found[kind].status for kind in ("default", "helper")] == ["limit_reached", "cancelled"]
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("run ", "tool "))]


async def test_a_tool_that_an_agent_lacks_is_named_before_anything_runs(make: Make, tools: ToolRegistry, store: Store) -> None:
    add(tools, "never", name="leaf", tools=["nowhere"])
    add(tools, "never", tools=["leaf"])

    with pytest.raises(ToolNotFound, match="'leaf' is to be offered it"):
        await run(make("never"))
    assert await store.traces.list_traces() == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tools": "look"}, "no list of names"),
        ({"memory": "all"}, "none of 'own', 'parent', None"),
        ({"memory": "parent", "agent_type": "x"}, "leave agent_type out"),
        ({"max_iterations": -1}, "no whole number"),
        ({"effect": "transactional"}, "transactional"),
        ({"timeout_s": 3}, "takes no timeout_s"),
        ({"llm_call": "gpt"}, "cannot be called"),
        ({"system_prompt": 3}, "no text"),
        ({"limits": [1]}, "no dict"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigInvalid, match=complaint):
        ToolRegistry().add_agent("helper", "Helps.", **options)


async def test_an_agent_is_called_by_a_run_only(tools: ToolRegistry) -> None:
    add(tools, "helped")

    with pytest.raises(ToolFailed, match="is an agent"):
        await tools.execute("helper", {"task": "help"})


async def test_a_foreign_run_under_the_name_of_a_call_is_not_taken_for_its_own(make: Make, tools: ToolRegistry, store: Store) -> None:
    add(tools, "helped")
    made = store.traces.open_trace

    async def open_first(trace: Trace, steps: Any) -> None:
        if trace.parent_trace_id is None:
            await store.traces.create_trace(Trace.create(trace_id=f"{trace.trace_id}.2.0", uid="eve"))
        await made(trace, steps)

    vars(store.traces)["open_trace"] = open_first  # of this object alone
    events = await run(make(asks(call()), "done"), uid="ann")

    assert "is not the run of this call" in told(events)[0]


# ---- memory


@pytest.mark.parametrize(("memory", "seen"), [("own", "own rule"), ("parent", "parent's rule"), (None, None)])
async def test_whose_memory_an_agent_reads_is_said(memory: Any, seen: str | None, make: Make, tools: ToolRegistry, store: Store) -> None:
    for scope, rule in (("agent:helper", "own rule"), ("agent:boss", "parent's rule")):
        await store.memories.add_experience(Experience.create(scope, "help", rule, [], "human", 0.9))
    model = add(tools, "helped", memory=memory)
    await collect(make(asks(call()), "done").run("help", tools=["helper"], agent_type="boss"))
    prompt = str(model.calls[0]["messages"])

    assert [rule for rule in ("own rule", "parent's rule") if rule in prompt] == ([seen] if seen else [])


def test_the_depth_is_a_setting() -> None:
    assert AgentConfig().max_agent_depth == 3


def test_bad_input_is_an_error_of_the_agent_tree() -> None:
    assert issubclass(ConfigInvalid, BadInput)
