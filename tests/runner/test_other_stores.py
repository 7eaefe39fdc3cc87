"""Runs without a store, and on any object with the seed's five methods."""

import asyncio
import json
from typing import Any

import pytest

from agent.errors import StepNotFound, TraceNotFound, Unsupported
from agent.events import AgentEvent
from agent.models.trace import Step, Trace
from agent.runner import AgentRunner
from agent.storage.ram.memories import RamMemoryStore
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

LOOK = asks(tool_request("look", {"where": "here"}))
PAY = asks(tool_request("pay", {"to": "ada"}))
WHOLE = ["trace_started", "llm_call_completed", "tool_executing", "tool_result", "llm_call_completed", "conclusion", "trace_completed"]


class PlainStore:
    """What somebody wrote for the seed: five methods, JSON inside."""

    def __init__(self) -> None:
        self.traces: dict[str, Trace] = {}
        self.changes: list[dict[str, Any]] = []
        self.rows: list[tuple[int, str, str]] = []
        self.steps: list[Step] = []

    async def create_trace(self, trace: Trace) -> str:
        self.traces[trace.trace_id] = trace
        return trace.trace_id

    async def add_step(self, step: Step) -> str:
        assert all(step.sequence != other.sequence for other in self.steps if other.trace_id == step.trace_id)
        self.rows.append((step.sequence, step.step_type, json.dumps(step.data)))
        self.steps.append(step)
        return step.step_id

    async def update_trace(self, trace_id: str, **changes: Any) -> None:
        assert changes.keys() <= {"status", "completed_at", "total_tokens", "total_cost"}, "the seed sets no others"
        self.changes.append(changes)

    async def get_trace(self, trace_id: str) -> Trace | None:
        return self.traces.get(trace_id)

    async def get_trace_steps(self, trace_id: str) -> list[Step]:
        return [step for step in self.steps if step.trace_id == trace_id]


@pytest.fixture
def plain() -> PlainStore:
    return PlainStore()


def runner_on(store: Any, tools: ToolRegistry, *lines: Any, **parts: Any) -> AgentRunner:
    return AgentRunner(store, tool_registry=tools, llm_call=ScriptedLLM(lines), **parts)


async def test_a_run_on_a_seedlike_store_is_recorded_with_whole_messages(plain: PlainStore, tools: ToolRegistry) -> None:
    runner = runner_on(plain, tools, LOOK, "done")
    events = await collect(runner.run("go", tools=["look"]))
    data = [json.loads(row[2]) for row in plain.rows]

    assert types_of(events) == WHOLE
    assert [row[:2] for row in plain.rows] == list(enumerate(["input", "llm_call", "tool_started", "tool_call", "llm_call", "conclusion"]))
    assert [len(d["messages"]) for d in data if "messages" in d and "response" in d] == [1, 3]
    assert data[4]["messages"] == runner.llm_call.calls[1]["messages"]  # type: ignore[union-attr]
    assert (data[3]["arguments"], data[5]["content"]) == ({"where": "here"}, "done")
    assert plain.changes[-1]["status"] == "completed"
    assert plain.changes[-1]["total_tokens"] == 30


async def test_a_call_on_a_seedlike_store_is_recorded(plain: PlainStore, tools: ToolRegistry) -> None:
    result = await runner_on(plain, tools, "hello").call([{"role": "user", "content": "hi"}])

    assert json.loads(plain.rows[0][2])["messages"] == [{"role": "user", "content": "hi"}]
    assert (result.step_id, plain.changes[-1]["status"]) == (plain.steps[0].step_id, "completed")


async def test_what_a_seedlike_store_cannot_do_is_refused_with_the_reason(plain: PlainStore, tools: ToolRegistry) -> None:
    runner = runner_on(plain, tools, PAY)
    events = await collect(runner.run("go", tools=["pay"]))
    trace_id = events[0].data["trace_id"]

    assert types_of(events)[-1] == "trace_waiting"
    for act in (runner.resume, runner.watch):
        with pytest.raises(Unsupported, match="PlainStore has only the seed's methods"):
            await collect(act(trace_id))
    with pytest.raises(Unsupported, match="continue a conversation"):
        await collect(runner.run("go", conversation_id="talk"))


async def test_feedback_on_a_seedlike_store_becomes_an_experience(plain: PlainStore, tools: ToolRegistry) -> None:
    runner = runner_on(plain, tools, "done", memory_store=RamMemoryStore())
    events = await collect(runner.run("go"))
    trace_id, step_id = events[0].data["trace_id"], events[-2].data["step_id"]

    assert await runner.add_feedback(trace_id, step_id, "correction", "better so")
    assert [row[1] for row in plain.rows[-2:]] == ["feedback", "memory_write"]
    with pytest.raises(StepNotFound):
        await runner.add_feedback(trace_id, "no-step", "correction", "x")
    with pytest.raises(TraceNotFound):
        await runner.add_feedback("nowhere", step_id, "correction", "x")


async def test_a_failure_on_a_seedlike_store_is_recorded(plain: PlainStore, tools: ToolRegistry) -> None:
    with pytest.raises(RuntimeError):
        await collect(runner_on(plain, tools, RuntimeError("no")).run("go"))

    assert plain.changes[-1]["status"] == "failed"
    assert plain.rows[-1][1] == "failure"


async def test_a_run_without_a_store_works_and_leaves_nothing(tools: ToolRegistry) -> None:
    runner = runner_on(None, tools, LOOK, "done")
    events = await collect(runner.run("go", tools=["look"]))

    assert types_of(events) == WHOLE
    with pytest.raises(Unsupported, match="without a trace store nothing is recorded"):
        await collect(runner.resume(events[0].data["trace_id"]))
    with pytest.raises(TraceNotFound, match="without a trace store"):
        await runner.add_feedback(events[0].data["trace_id"], "x", "positive", "good")


async def test_a_call_without_a_store_works(tools: ToolRegistry) -> None:
    result = await runner_on(None, tools, "hello").call([{"role": "user", "content": "hi"}])

    assert (result.reply, result.trace_id) == ("hello", None)


@pytest.mark.parametrize(("stop", "ending"), [("pause", "trace_paused"), ("cancel", "trace_cancelled")])
async def test_a_run_without_a_store_can_be_stopped_where_it_runs(stop: str, ending: str, tools: ToolRegistry) -> None:
    gate = asyncio.Event()

    async def wait(messages: Any) -> Any:
        await gate.wait()
        return LOOK

    runner = runner_on(None, tools, wait)
    stream = runner.run("go", tools=["look"])
    trace_id = (await read_until(stream, "step_started"))[0].data["trace_id"]
    stopping = asyncio.ensure_future(getattr(runner, stop)(trace_id, by="me"))
    await asyncio.sleep(0)
    gate.set()
    await stopping
    events: list[AgentEvent] = await collect(stream)

    assert (events[-1].type, events[-1].data["by"]) == (ending, "me")
    with pytest.raises(TraceNotFound, match="not running here"):
        await getattr(runner, stop)(trace_id)


async def test_an_empty_registry_of_ones_own_is_not_passed_over() -> None:
    tools = ToolRegistry()

    assert AgentRunner(tool_registry=tools).tools is tools


async def test_agents_call_agents_on_a_store_of_the_seeds_making(tools: ToolRegistry, done: list[str]) -> None:
    store = PlainStore()
    tools.add_agent("helper", "Helps.", llm_call=ScriptedLLM([LOOK, "seen"]), tools=["look"])
    model = ScriptedLLM([asks(tool_request("helper", {"task": "look"})), "done"])
    async with AgentRunner(store, tool_registry=tools, llm_call=model) as runner:
        events = await collect(runner.run("go", tools=["helper"]))
    [root, below] = store.traces.values()

    assert events[-1].type == "trace_completed"
    assert done == ["look here"]
    assert below.parent_trace_id == root.trace_id
    assert [step.step_type for step in store.steps if step.trace_id == below.trace_id][-1] == "conclusion"
