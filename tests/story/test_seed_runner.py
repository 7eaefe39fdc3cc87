"""The seed's own runner, with its indentation restored, runs on our modules and stores."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.models.memory import Skill
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

SEED = Path(__file__).parent.parent / "data" / "seed_runner.py.txt"


@pytest.fixture(scope="module")
def seed() -> Iterator[Any]:
    module = types.ModuleType("seed_runner")
    sys.modules["seed_runner"] = module  # its dataclasses look themselves up there
    exec(compile(SEED.read_text(), str(SEED), "exec"), module.__dict__)  # the very text of the seed
    yield module
    del sys.modules["seed_runner"]


@pytest.fixture
def tools() -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    def look(where: str) -> str:
        "Look somewhere."
        return f"seen {where}"

    @registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["to"])
    def pay(to: str) -> str:
        "Pay."
        return "paid"

    return registry


def runner_of(seed: Any, store: Store, tools: ToolRegistry, *lines: Any) -> Any:
    return seed.AgentRunner(store.traces, store.memories, store.states, tools, ScriptedLLM(lines))


async def test_a_call_is_recorded_and_completed(seed: Any, store: Store, tools: ToolRegistry) -> None:
    result = await runner_of(seed, store, tools, "hello").call([{"role": "user", "content": "hi"}], uid="ada")
    trace = await store.traces.get_trace(result.trace_id)
    (step,) = await store.traces.get_trace_steps(result.trace_id)

    assert (result.reply, result.tokens) == ("hello", {"prompt": 10, "completion": 5})
    assert trace is not None
    assert (trace.status, trace.uid, trace.total_tokens) == ("completed", "ada", 15)
    assert trace.completed_at is not None
    assert trace.completed_at.tzinfo is not None
    assert (step.step_id, step.data["messages"]) == (result.step_id, [{"role": "user", "content": "hi"}])


async def test_a_run_with_tools_is_recorded_step_by_step(seed: Any, store: Store, tools: ToolRegistry) -> None:
    runner = runner_of(seed, store, tools, asks(tool_request("look", {"where": "here"}), tool_request("look", {"where": "there"})), "done")
    events = await collect(runner.run("go", system_prompt="Be brief.", tools=["look"]))
    steps = await store.traces.get_trace_steps(events[0].data["trace_id"])

    assert types_of(events) == [
        "trace_started", "memory_loaded", "llm_call_completed", "tool_executing", "tool_result", "tool_executing", "tool_result",
        "llm_call_completed", "conclusion", "trace_completed",
    ]  # fmt: skip
    assert [(s.sequence, s.step_type) for s in steps] == [
        (0, "memory_read"), (1, "llm_call"), (2, "tool_call"), (3, "tool_call"), (4, "llm_call"), (5, "conclusion"),
    ]  # fmt: skip
    assert [s.data["result"] for s in steps if s.step_type == "tool_call"] == ["seen here", "seen there"]
    assert [m["role"] for m in steps[4].data["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert steps[4].parent_ids == (steps[1].step_id, steps[2].step_id, steps[3].step_id)


async def test_its_steps_keep_the_messages_of_their_moment(seed: Any, store: Store, tools: ToolRegistry) -> None:
    runner = runner_of(seed, store, tools, asks(tool_request("look", {"where": "here"})), "done")
    events = await collect(runner.run("go", tools=["look"]))
    steps = await store.traces.get_trace_steps(events[0].data["trace_id"])

    assert [len(s.data["messages"]) for s in steps if s.step_type == "llm_call"] == [1, 3], "the store copied what it was handed"


async def test_a_call_that_needs_a_person_is_announced(seed: Any, store: Store, tools: ToolRegistry) -> None:
    request = {**tool_request("pay", {"to": "ada"}), "id": "x"}
    events = await collect(runner_of(seed, store, tools, asks(request)).run("go", tools=["pay"]))

    (asked,) = [event for event in events if event.type == "awaiting_user_action"]
    assert asked.data == {"tool_calls": [request], "confirmation_flags": [True], "editable_params": {"x": ["to"]}}


async def test_memory_reaches_its_prompt_and_feedback_becomes_memory(seed: Any, store: Store, tools: ToolRegistry) -> None:
    await store.memories.add_skill(Skill.create("agent:default", "billing", "How to bill.", "Send the bill."))
    runner = runner_of(seed, store, tools, "billed", "billed")
    first = await collect(runner.run("how to bill", system_prompt="S"))
    trace_id = first[0].data["trace_id"]
    answer = (await store.traces.get_trace_steps(trace_id))[-1]
    experience_id = await runner.add_feedback(trace_id, answer.step_id, "correction", "Bill in euros.")
    second = await collect(runner.run("how to bill", system_prompt="S"))
    steps = await store.traces.get_trace_steps(trace_id)

    assert [e.data["skills_count"] for e in first if e.type == "memory_loaded"] == [1]
    assert "Send the bill." in runner.llm_call.calls[0]["messages"][0]["content"]
    assert [s.step_type for s in steps[-2:]] == ["feedback", "memory_write"]
    assert steps[-1].data["experience_id"] == experience_id
    assert [e.data["experiences_count"] for e in second if e.type == "memory_loaded"] == [1]
    assert "Bill in euros." in runner.llm_call.calls[1]["messages"][0]["content"]


async def test_a_model_that_fails_leaves_a_failed_trace(seed: Any, store: Store, tools: ToolRegistry) -> None:
    events: list[Any] = []
    with pytest.raises(RuntimeError, match="no model"):
        await collect(runner_of(seed, store, tools, RuntimeError("no model")).run("go"), into=events)
    trace = await store.traces.get_trace(events[0].data["trace_id"])

    assert (events[-1].type, events[-1].data["error"]) == ("trace_failed", "no model")
    assert trace is not None
    assert trace.status == "failed"


async def test_it_runs_without_any_store(seed: Any, tools: ToolRegistry) -> None:
    runner = seed.AgentRunner(tool_registry=tools, llm_call=ScriptedLLM(["done"]))

    assert types_of(await collect(runner.run("go"))) == ["trace_started", "llm_call_completed", "conclusion", "trace_completed"]


async def test_a_run_that_it_recorded_is_read_folded_and_watched(seed: Any, store: Store, tools: ToolRegistry) -> None:
    from agent.runner import AgentRunner

    events = await collect(runner_of(seed, store, tools, "done").run("go"))
    trace_id = events[0].data["trace_id"]
    async with AgentRunner(store.traces, llm_call=ScriptedLLM(["unused"])) as ours:
        told = await collect(ours.watch(trace_id))
        assert await collect(ours.resume(trace_id)) == []

    assert types_of(told) == ["memory_loaded", "llm_call_completed", "conclusion", "trace_completed"]


async def test_a_run_that_it_left_open_is_refused_by_our_resume_with_the_reason(seed: Any, store: Store, tools: ToolRegistry) -> None:
    from agent.errors import Unsupported
    from agent.runner import AgentRunner

    events: list[Any] = []
    with pytest.raises(RuntimeError):
        await collect(runner_of(seed, store, tools, RuntimeError("no model")).run("go"), into=events)
    async with AgentRunner(store.traces, llm_call=ScriptedLLM(["unused"])) as ours:
        with pytest.raises(Unsupported, match="begins with no 'input' step"):
            await collect(ours.resume(events[0].data["trace_id"]))
