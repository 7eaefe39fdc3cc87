"""The defects of the seed in its loop and its tool calls do not come back: one test for each."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from agent.events import AgentEvent
from agent.models.trace import Trace
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

sys.path.insert(0, str(Path(__file__).parent))

import promises  # type: ignore[import-not-found]  # it lies beside this file

F = TypeVar("F", bound=Callable[..., object])
keeps: Callable[[str], Callable[[F], F]] = promises.keeps
LOOK = asks(tool_request("look", {"where": "here"}))
Make = Callable[..., AgentRunner]


def prompts(runner: AgentRunner) -> list[list[dict[str, Any]]]:
    llm = runner.llm_call
    assert isinstance(llm, ScriptedLLM)
    return [call["messages"] for call in llm.calls]


def told(runner: AgentRunner) -> list[str]:
    """Return what the last prompt says that tools answered."""
    return [message["content"] for message in prompts(runner)[-1] if message["role"] == "tool"]


async def trace_of(store: Store, events: list[AgentEvent]) -> Trace:
    trace = await store.traces.get_trace(events[0].data["trace_id"])
    assert trace is not None
    return trace


async def ended(runner: AgentRunner, calls: Any, **options: Any) -> list[AgentEvent]:
    """Run a turn with these tool calls; the run must go on to its answer."""
    runner.llm_call = ScriptedLLM([{"content": "", "tool_calls": calls}, "done"], by_calls=True)
    events = await collect(runner.run("go", tools=["look", "broken", "slow"], enable_memory=False, **options))
    assert types_of(events)[-1] == "trace_completed"
    return events


@keeps("intent-first")
async def test_a_tool_finds_its_own_announcement_on_the_record(make: Make, store: Store, tools: ToolRegistry) -> None:
    found: list[list[str]] = []

    @tools.tool(effect="unsafe")
    async def look_back(ctx: ToolContext) -> str:
        "Look at the record."
        found.append([step.step_type for step in await store.traces.read_steps(ctx.trace_id)])
        return ""

    await collect(make(asks(tool_request("look_back")), "done").run("go", tools=["look_back"], enable_memory=False))

    assert found == [["input", "llm_call", "tool_started"]]


@keeps("confirmation-is-no-end")
async def test_a_run_that_waits_for_a_person_is_waiting(make: Make, store: Store, done: list[str]) -> None:
    events = await collect(make(asks(tool_request("pay", {"to": "ada"}))).run("go", tools=["pay"]))

    assert types_of(events)[-2:] == ["awaiting_user_action", "trace_waiting"]
    assert (await trace_of(store, events)).status == "waiting"
    assert done == []


@keeps("limit-is-no-completion")
async def test_a_run_at_its_limit_is_not_completed(make: Make, store: Store) -> None:
    events = await collect(make(LOOK, "so far").run("go", tools=["look"], max_iterations=1))

    assert (await trace_of(store, events)).status == "limit_reached"
    assert "trace_completed" not in types_of(events)


@keeps("manual-is-no-conclusion")
async def test_requests_that_nobody_executed_are_not_the_conclusion(make: Make, store: Store, done: list[str]) -> None:
    events = await collect(make(LOOK).run("go", tools=["look"], auto_execute_tools=False))
    kinds = [step.step_type for step in await store.traces.read_steps(events[0].data["trace_id"])]

    assert "conclusion" not in kinds
    assert kinds[-1] == "approval_requested"
    assert done == []


@keeps("arguments-malformed")
async def test_malformed_arguments_go_back_to_the_model(make: Make, done: list[str]) -> None:
    runner = make()
    await ended(runner, [tool_request("look", "{where")])

    assert "arguments of 'look' cannot be used" in told(runner)[0]
    assert done == []


@keeps("arguments-empty")
async def test_empty_arguments_are_none(make: Make, done: list[str]) -> None:
    runner = make()
    await ended(runner, [tool_request("look", "")])

    assert told(runner) == ["seen nowhere"]


@keeps("arguments-no-object")
async def test_arguments_that_are_a_list_go_back_to_the_model(make: Make, done: list[str]) -> None:
    runner = make()
    await ended(runner, [tool_request("look", "[1]")])

    assert "must be one JSON object" in told(runner)[0]
    assert done == []


@keeps("tool-unknown")
async def test_an_unknown_tool_is_named_to_the_model(make: Make) -> None:
    runner = make()
    await ended(runner, [tool_request("lokk")])

    assert told(runner) == ["There is no tool 'lokk'. Tools you can call: look, broken, slow."]


@keeps("tool-not-offered")
async def test_a_tool_that_was_not_offered_does_not_run(make: Make, done: list[str]) -> None:
    runner = make()
    await ended(runner, [tool_request("pay", {"to": "ada"})])

    assert "'pay' is not offered here" in told(runner)[0]
    assert done == []


@keeps("ids-missing")
async def test_a_call_without_an_id_is_answered(make: Make) -> None:
    runner = make()
    await ended(runner, [{"function": {"name": "look", "arguments": "{}"}}])
    (asked,) = prompts(runner)[-1][1]["tool_calls"]

    assert asked["id"]
    assert prompts(runner)[-1][2]["tool_call_id"] == asked["id"]


@keeps("ids-repeated")
async def test_calls_with_the_same_id_are_answered_one_by_one(make: Make) -> None:
    runner = make()
    await ended(runner, [{**tool_request("look", {"where": place}), "id": "same"} for place in "ab"])
    answers = prompts(runner)[-1][2:]

    assert [message["content"] for message in answers] == ["seen a", "seen b"]
    assert len({message["tool_call_id"] for message in answers}) == 2


@keeps("tool-raises")
async def test_an_exception_in_a_tool_is_told_to_the_model(make: Make) -> None:
    runner = make()
    await ended(runner, [tool_request("broken"), tool_request("look")])

    assert told(runner) == ["The tool failed: RuntimeError: out of order", "seen nowhere"]


@keeps("tool-too-slow")
async def test_a_timeout_in_a_tool_is_told_to_the_model(make: Make) -> None:
    runner = make()
    await ended(runner, [tool_request("slow"), tool_request("look")])

    assert told(runner) == ["The tool took longer than 0.01 s and was stopped.", "seen nowhere"]


@keeps("harmless-goes-on")
async def test_a_harmless_call_does_not_wait_for_a_dangerous_one(make: Make, done: list[str]) -> None:
    turn = asks(tool_request("pay", {"to": "ada"}), tool_request("look", {"where": "here"}))
    events = await collect(make(turn).run("go", tools=["look", "pay"]))

    assert done == ["look here"]
    assert types_of(events)[-1] == "trace_waiting"


@keeps("none-content")
async def test_a_reply_of_nothing_is_an_empty_answer(make: Make, store: Store) -> None:
    reply = dict.fromkeys(("content", "tool_calls", "prompt_tokens", "completion_tokens", "cost"))
    events = await collect(make(reply).run("go"))
    trace = await trace_of(store, events)

    assert next(event for event in events if event.type == "conclusion").data["content"] == ""
    assert (trace.total_tokens, trace.total_cost, trace.cost_is_partial) == (0, None, True)


@keeps("zero-iterations")
async def test_no_iterations_are_none_and_not_ten(make: Make) -> None:
    runner = make("never")
    events = await collect(runner.run("go", max_iterations=0))

    assert events[-1].type == "limit_reached"
    assert prompts(runner) == []


@keeps("last-answer")
async def test_at_the_limit_the_work_is_not_lost(make: Make) -> None:
    runner = make(LOOK, "this is what I have")
    events = await collect(runner.run("go", tools=["look"], max_iterations=1))
    llm = runner.llm_call
    assert isinstance(llm, ScriptedLLM)

    assert [call["tools"] is None for call in llm.calls] == [False, True]
    assert (events[-2].type, events[-2].data["content"], events[-2].data["is_final"]) == ("conclusion", "this is what I have", False)
