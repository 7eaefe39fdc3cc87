"""Many calls, broken calls, calls of any shape: each settles on its own, and none ends the run."""

import asyncio
from typing import Any

import pytest

from agent.events import AgentEvent
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry


def results(events: list[AgentEvent]) -> list[tuple[bool, str]]:
    return [(event.data["ok"], event.data["result"]) for event in events if event.type == "tool_result"]


async def test_calls_of_one_turn_run_at_the_same_time(make: Any, tools: ToolRegistry) -> None:
    barrier = asyncio.Barrier(3)

    @tools.tool(effect="read")
    async def meet() -> str:
        "Meet the others."
        await barrier.wait()
        return "met"

    events = await collect(make(asks(*[tool_request("meet")] * 3), "done").run("go", tools=["meet"]))

    assert results(events) == [(True, "met")] * 3


async def test_no_more_calls_run_at_once_than_allowed(make: Any, tools: ToolRegistry) -> None:
    running, most = 0, 0

    @tools.tool(effect="read")
    async def count() -> str:
        "Count who runs."
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return ""

    await collect(make(asks(*[tool_request("count")] * 9), "done", config={"parallel_tools": 3}).run("go", tools=["count"]))

    assert most == 3


async def test_one_call_that_fails_leaves_the_others_alone(make: Any, store: Store) -> None:
    turn = asks(*[tool_request(name) for name in ("broken", "slow_look")], tool_request("look", {"where": "here"}))
    llm = ScriptedLLM([turn, "done"])
    events = await collect(make(llm=llm).run("go", tools=["broken", "slow_look", "look"]))
    told = {message["name"]: message["content"] for message in llm.calls[1]["messages"] if message["role"] == "tool"}

    assert types_of(events)[-1] == "trace_completed"
    assert told["look"] == "seen here"
    assert "RuntimeError: out of order" in told["broken"]
    assert "longer than 0.02 s" in told["slow_look"]


async def test_a_thousand_calls_in_one_turn_are_all_answered(make: Any, done: list[str], store: Store) -> None:
    turn = asks(*[tool_request("look", {"where": str(n)}) for n in range(1_001)])
    llm = ScriptedLLM([turn, "done"])
    events = await collect(make(llm=llm).run("go", tools=["look"], enable_memory=False), timeout_s=60)
    answers = [message for message in llm.calls[1]["messages"] if message["role"] == "tool"]

    assert types_of(events)[-1] == "trace_completed"
    assert len(done) == 1_000
    assert [a["tool_call_id"] for a in answers] == [call["id"] for call in llm.calls[1]["messages"][1]["tool_calls"]]
    assert "more than 1000 calls" in answers[-1]["content"]
    assert (await store.traces.verify(events[0].data["trace_id"])).entries == len(await store.traces.read_steps(events[0].data["trace_id"]))


HOSTILE: dict[str, Any] = {
    "a number": 7,
    "text": "look",
    "an object": {"name": "look"},
    "a list in a list": [[{"id": "x"}]],
    "nothing in a list": [None],
    "empty objects": [{}, {}],
    "no id": [tool_request("look", {"where": "x"})],
    "repeated ids": [{**tool_request("look", {"where": "x"}), "id": "same"}] * 3,
    "ids that we would give": [{**tool_request("look", {"where": "x"}), "id": "call_1_1"}, tool_request("look", {"where": "y"})],
    "a number for an id": [{**tool_request("look", {"where": "x"}), "id": 5}],
    "no function": [{"id": "a", "type": "function"}],
    "a text for a function": [{"id": "a", "type": "function", "function": "look"}],
    "no name": [{"id": "a", "function": {"arguments": "{}"}}],
    "a long name": [tool_request("n" * 500, {})],
    "a name in Chinese": [tool_request("看", {})],
    "an unknown tool": [tool_request("nobody", {})],
    "a tool that was not offered": [tool_request("send", {"to": "x"})],
    "empty arguments": [tool_request("look", "")],
    "arguments that are no JSON": [tool_request("look", "{where")],
    "arguments that are a list": [tool_request("look", "[1]")],
    "NaN": [tool_request("look", '{"where": NaN}')],
    "a wrong type": [tool_request("look", {"where": [1]})],
    "arguments as an object": [{"id": "a", "function": {"name": "look", "arguments": {"where": "x"}}}],
    "no arguments": [{"id": "a", "function": {"name": "look"}}],
    "half a character": [tool_request("look", '{"where": "\ud800"}')],
    "half a character, escaped": [tool_request("look", '{"where": "\\ud800"}')],
    "half a character as a key": [{"id": "a", "function": {"name": "look", "arguments": {"\ud800": "x"}}}],
    "half a character in a name": [tool_request("lo\ud800ok", {})],
    "half a character in an id": [{**tool_request("look", {"where": "x"}), "id": "\ud800"}],
    "a huge number": [{"id": "a", "function": {"name": "look", "arguments": {"where": 10**5000}}}],
    "a big number": [{"id": "a", "function": {"name": "look", "arguments": {"where": 2**70}}}],
    "a huge number as text": [tool_request("look", '{"where": 1' + "0" * 5000 + "}")],
    "no JSON type": [{"id": "a", "function": {"name": "look", "arguments": {"where": {1, 2}}}}],
    "very deep": [{"id": "a", "function": {"name": "look", "arguments": '{"where":' * 5000}}],
    "very large": [tool_request("look", {"where": "x" * 3_000_000})],
}


@pytest.mark.parametrize("calls", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_reply_with_calls_of_any_shape_is_answered_and_the_run_goes_on(calls: Any, make: Any, store: Store) -> None:
    llm = ScriptedLLM([{"content": None, "tool_calls": calls}, "done"], by_calls=True)
    events = await collect(make(llm=llm).run("go", tools=["look"], enable_memory=False))
    trace_id = events[0].data["trace_id"]
    steps = await store.traces.get_trace_steps(trace_id)

    assert types_of(events)[-1] == "trace_completed"
    assert shape_faults(llm.calls[1]["messages"], is_request=True) == []
    assert [step.data["messages"] for step in steps if step.step_type == "llm_call"] == [call["messages"] for call in llm.calls]


REPLIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "None everywhere": dict.fromkeys(("content", "tool_calls", "prompt_tokens", "completion_tokens", "cost", "usage", "model")),
    "NaN": {"content": "x", "cost": float("nan"), "prompt_tokens": float("nan")},
    "infinities": {"content": "x", "cost": float("inf"), "completion_tokens": float("inf")},
    "huge numbers": {"content": "x", "cost": 10**400, "prompt_tokens": 10**400, "completion_tokens": 2**80},
    "negative numbers": {"content": "x", "cost": -1.0, "prompt_tokens": -5},
    "texts for numbers": {"content": "x", "cost": "1", "prompt_tokens": "5"},
    "truths for numbers": {"content": "x", "cost": True, "prompt_tokens": True},
    "half a character": {"content": "x\ud800", "reasoning": "\ud800", "model": "m\ud800", "finish_reason": "\ud800", "response_id": "\ud800"},
    "parts": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": None}, "b", 5]},
    "a number for text": {"content": 5},
    "no calls": {"content": "x", "tool_calls": []},
    "usage of any kind": {"content": "x", "usage": {"cached": 2**80, "n": float("nan"), "\ud800": "\ud800", 5: {1}}},
    "a state that no store takes": {"content": "x", "provider_state": {"a": "\ud800", "b": 2**80, "c": {1}}},
    "ten megabytes": {"content": "x" * 10_000_000},
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
async def test_a_reply_of_any_shape_ends_the_run_with_a_sound_record(reply: dict[str, Any], make: Any, store: Store) -> None:
    events = await collect(make(reply).run("go", enable_memory=False))
    trace = await store.traces.get_trace(events[0].data["trace_id"])
    steps = await store.traces.get_trace_steps(events[0].data["trace_id"])

    assert types_of(events)[-1] == "trace_completed"
    assert trace is not None
    assert trace.total_tokens >= 0
    assert trace.total_cost is None or 0 <= trace.total_cost < 1e12
    assert [step.to_dict()["step_type"] for step in steps] == ["input", "llm_call", "conclusion"]
    assert steps[-1].data["content"].encode() == events[-2].data["content"].encode()


@pytest.mark.parametrize("reply", ["text is fine in a script, not here", None, 5, ["x"]])
async def test_a_reply_that_is_no_dict_fails_the_run_with_the_reason(reply: Any, make: Any) -> None:
    async def model(messages: Any, model: str, tools: Any = None) -> Any:
        return reply

    events: list[AgentEvent] = []
    with pytest.raises(Exception, match="not a dict"):
        await collect(make(llm=model).run("go"), into=events)

    assert events[-1].data["error_type"] == "ModelRejected"


async def test_repaired_arguments_of_an_unsafe_tool_wait_for_a_person(make: Any, done: list[str]) -> None:
    events = await collect(make(asks(tool_request("send", '"{\\"to\\": \\"ada\\"}"'))).run("go", tools=["send"]))

    assert types_of(events)[-1] == "trace_waiting"
    assert events[-2].data["reasons"] == ["repaired_arguments"]
    assert done == []


async def test_a_tool_knows_whose_run_it_works_for(make: Any, tools: ToolRegistry) -> None:
    known: list[Any] = []

    @tools.tool(effect="idempotent")
    async def who(ctx: ToolContext) -> str:
        "Say who."
        assert ctx.state is not None
        await ctx.state.set("seen", 1)
        known.append((ctx.uid, ctx.call_id, ctx.idempotency_key, ctx.attempt, ctx.step_id, ctx.deps))
        return ""

    events = await collect(make(asks(tool_request("who")), "done").run("go", tools=["who"], uid="ada", deps={"x": 1}, enable_memory=False))
    trace_id = events[0].data["trace_id"]

    assert known == [("ada", "1.0", f"{trace_id}/1.0", 1, f"{trace_id}/1", {"x": 1})]


async def test_a_long_result_is_cut_for_the_model_and_kept_whole(make: Any, store: Store, tools: ToolRegistry) -> None:
    @tools.tool(effect="read")
    def long() -> str:
        "Return much."
        return "x" * 200_000

    llm = ScriptedLLM([asks(tool_request("long")), "done"])
    events = await collect(make(llm=llm).run("go", tools=["long"]))
    steps = await store.traces.get_trace_steps(events[0].data["trace_id"])
    (step,) = [step for step in steps if step.step_type == "tool_call"]

    assert len(llm.calls[1]["messages"][-1]["content"]) < 51_000
    assert step.data["full_result"] == "x" * 200_000
