"""Hostile input through real runs: it works and reads back equal, or it is refused in our words, and the run and the store go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.hostile.conftest import JSON_SUITE, NAUGHTY, SURROGATES, deep

from agent.config import AgentConfig
from agent.errors import AgentError
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request
from agent.tools.json_text import NotJson, parse_json
from agent.tools.registry import ToolRegistry

EVERY = ["echo", "write", "keep", "take"]


class Runs:
    """Runs scripts with all the tools; `go` returns the events and the steps, after checking that the record is sound."""

    def __init__(self, store: Store, tools: ToolRegistry) -> None:
        self.store, self.tools = store, tools
        self.opened: list[AgentRunner] = []

    def runner(self, *lines: Any, **config: Any) -> AgentRunner:
        llm = ScriptedLLM(lines)
        self.opened.append(AgentRunner(self.store.traces, self.store.memories, self.store.states, self.tools, llm, AgentConfig(**config)))
        return self.opened[-1]

    async def go(self, *lines: Any, task: Any = "go", config: dict[str, Any] | None = None, **arguments: Any) -> tuple[list[str], list[Step]]:
        runner = self.runner(*lines, **(config or {}))
        events = await collect(runner.run(task, tools=EVERY, **{"enable_memory": False, **arguments}))
        return types_of(events), await self.steps(events[0].data["trace_id"])

    async def steps(self, trace_id: str) -> list[Step]:
        steps = await self.store.traces.get_trace_steps(trace_id)
        assert (await self.store.traces.verify(trace_id)).entries == len(steps)
        for step in steps:
            json.dumps(step.to_dict(), allow_nan=True).encode()
            if step.step_type == "llm_call":
                assert shape_faults(step.data["messages"], is_request=True) == []
        return steps


@pytest.fixture
async def runs(store: Store, tools: ToolRegistry) -> AsyncIterator[Runs]:
    runs = Runs(store, tools)
    yield runs
    for runner in runs.opened:
        await runner.aclose()


def results(steps: list[Step]) -> list[str]:
    return [step.data["result"] for step in steps if step.step_type == "tool_call"]


def calls(steps: list[Step]) -> dict[str, dict[str, Any]]:
    """Return the settled calls by our id."""
    return {step.data["call_id"]: step.data for step in steps if step.step_type == "tool_call"}


async def test_every_naughty_string_reaches_the_tool_and_the_model_as_it_is(runs: Runs, done: list[Any]) -> None:
    requests = [tool_request("echo", {"text": text}) for text in NAUGHTY]
    ending, steps = await runs.go(asks(*requests), "done")
    settled = [data for _, data in sorted(calls(steps).items(), key=lambda item: int(item[0].split(".")[1]))]
    prompt = next(step for step in reversed(steps) if step.step_type == "llm_call").data["messages"]

    assert ending[-1] == "trace_completed"
    assert sorted(done) == sorted(NAUGHTY)
    assert [data["arguments"] for data in settled] == [{"text": text} for text in NAUGHTY]
    assert [data["result"] for data in settled] == NAUGHTY
    assert [message["content"] for message in prompt if message["role"] == "tool"] == NAUGHTY


async def test_every_naughty_string_is_kept_in_states_and_memory(runs: Runs, store: Store) -> None:
    _, steps = await runs.go(asks(*[tool_request("keep", {"text": text}) for text in NAUGHTY]), "done", config={"parallel_tools": 1})

    assert set(results(steps)) == {"same"}
    for text in filter(str.strip, NAUGHTY[:100]):
        found = await store.memories.search_experiences(f"agent:{text}"[:500], text)
        assert found == []


async def test_every_naughty_string_may_be_what_is_asked_answered_edited_and_said_of_it(runs: Runs, store: Store, done: list[Any]) -> None:
    """In one run each, as task, system prompt, reply, reasoning, name of a tool, edited argument and feedback."""
    for text in [text for text in NAUGHTY if text.strip()][:: 1 if type(store.traces).__name__ == "RamTraceStore" else 10]:
        runner = runs.runner(asks(tool_request("write", {"text": "?"}), tool_request(text, {}), content=text), says(text, reasoning=text))
        events = await collect(runner.run(text, system_prompt=text, tools=EVERY, agent_type=text, enable_memory=False))
        trace_id = events[0].data["trace_id"]
        (item,) = await runner.pending(trace_id=trace_id)
        await runner.decide(trace_id, item.call_id, "edit", arguments={"text": text}, by=text[:100], reason=text)
        ending = await collect(runner.resume(trace_id))
        steps = await runs.steps(trace_id)
        if text.strip():
            await runner.add_feedback(trace_id, steps[-1].step_id, "negative", text, extract_experience=False)

        assert ending[-1].type == "trace_completed"
        assert done[-1] == text
        assert steps[-1].data.get("content") == text
        assert (steps[0].data["task"], steps[0].data.get("system") or "") == (text, text)
        trace = await store.traces.get_trace(trace_id)
        assert trace is not None
        assert (trace.task, trace.agent_type) == (text, text or "default")


async def test_names_are_kept_apart_or_refused(runs: Runs, store: Store) -> None:
    kept: list[str] = []
    for text in [*NAUGHTY, *SURROGATES, "x" * 10_000_000]:
        try:
            ending, _ = await runs.go("done", uid=text, conversation_id=text, max_iterations=0)
            assert ending[-1] == "limit_reached"
            kept.append(text)
        except AgentError as refusal:
            assert len(str(refusal)) < 1_000  # noqa: PT017  a name may be refused
    for text in kept:
        traces = await store.traces.list_traces(uid=text)
        assert [(trace.uid, trace.conversation_id) for trace in traces] == [(text, text)] * kept.count(text)
    assert len(kept) > 450


async def test_of_arguments_in_text_what_must_parse_runs_and_what_must_not_is_told_to_the_model(runs: Runs, done: list[Any]) -> None:
    ending, steps = await runs.go(asks(*[tool_request("take", text) for text in JSON_SUITE.values()]), "done")
    settled = calls(steps)

    expected: list[Any] = []
    for position, (name, text) in enumerate(JSON_SUITE.items()):
        (data,) = [data for call_id, data in settled.items() if call_id.endswith(f".{position}")]
        try:
            value = parse_json(text.strip(" \t\n\r")) if text.strip(" \t\n\r") else {}
        except NotJson:
            value = None
        is_run = isinstance(value, dict)
        assert data.get("is_executed", True) is is_run, name
        assert not (name.startswith("n_") and is_run and text.strip()), name
        if is_run:
            expected.append(value)
    assert ending[-1] == "trace_completed"
    assert sorted(map(repr, done)) == sorted(map(repr, expected))
    assert len(expected) > 10


@pytest.mark.parametrize(
    "raw",
    [
        '{"a": NaN}', '{"a": -Infinity}', '{"a": 1, "a": 2}', '{"a": 1e999}', '{"a": 123456789012345678901234567890}', '{"a": "\\ud800"}', '{"\ud800": 1}',
        '{"a":' * 100_000, "[" * 100_000, '{"a":' + "[" * 100_000 + "]" * 100_000 + "}", '{"a": "' + "x" * 10_000_000 + '"}', "\x00", "{" * 1_000 + "}" * 1_000,
        {"a": float("nan")}, {"a": 10**400}, {"a": deep()}, {"a": b"bytes"}, {1: "a"}, {"a": object()}, deep(), 5, [{}], True, "\ufeff{}",
    ],
    ids=lambda raw: repr(raw)[:20] if not isinstance(raw, dict | list) else type(raw).__name__,
)  # fmt: skip
async def test_arguments_that_are_no_sound_json_never_run(raw: Any, runs: Runs, done: list[Any]) -> None:
    ending, steps = await runs.go(says("", tool_calls=[{"id": "c", "type": "function", "function": {"name": "take", "arguments": raw}}]), "done")
    (result,) = results(steps)

    assert ending[-1] == "trace_completed"
    assert done == []
    assert "take" in result
    assert len(result) < 20_000


@pytest.mark.parametrize(
    "name",
    [
        "tаke",
        "ｔａｋｅ",
        "take\u200b",
        "Take",
        " take",
        "take ",
        "take\x00",
        "ta\u0301ke",
        "\u202eekat",
        "take\n",
        "__class__",
        "../take",
        "x" * 1_000_000,
        "\ud800",
    ],
    ids=ascii,
)
async def test_a_name_that_only_looks_like_a_tool_runs_nothing(name: str, runs: Runs, done: list[Any]) -> None:
    ending, steps = await runs.go(asks(tool_request(name[:100_000], {}), tool_request("take", {})), "done")

    assert ending[-1] == "trace_completed"
    assert done == [{}]
    assert [step.data.get("is_executed", True) for step in steps if step.step_type == "tool_call"].count(True) == 1


async def test_a_thousand_calls_in_one_turn_run_and_more_are_refused(runs: Runs, done: list[Any]) -> None:
    ending, steps = await runs.go(asks(*[tool_request("echo", {"text": str(number)}) for number in range(1_003)]), "done")

    assert ending[-1] == "trace_completed"
    assert sorted(done, key=int) == [str(number) for number in range(1_000)]
    assert [len([data for data in calls(steps).values() if data.get("is_executed", True) is ran]) for ran in (True, False)] == [1_000, 3]


async def test_a_thousand_approvals_in_one_turn_are_decided_one_by_one(runs: Runs, store: Store, done: list[Any]) -> None:
    count = 1_000 if type(store.traces).__name__ == "RamTraceStore" else 100
    runner = runs.runner(asks(*[tool_request("write", {"text": str(number)}) for number in range(count)]), "done")
    events = await collect(runner.run("go", tools=EVERY, enable_memory=False))
    trace_id = events[0].data["trace_id"]
    items = await runner.pending(trace_id=trace_id)
    for item in items[:5]:
        await runner.decide(trace_id, item.call_id, "approve")
    await runner.decide(trace_id, items[5].call_id, "reject")
    await collect(runner.resume(trace_id))

    assert len(items) == count
    assert sorted(done) == [item.arguments["text"] for item in items[:5]]
    assert len(await runner.pending(trace_id=trace_id)) == count - 6


@pytest.mark.parametrize("text", [*SURROGATES, "x" * 10_000_000, "{" * 100_000, "\x00" * 1_000], ids=lambda text: ascii(text[:6]))
async def test_a_hostile_text_may_come_from_anyone(text: str, tools: ToolRegistry, runs: Runs) -> None:
    @tools.tool(effect="read")
    async def fetch() -> str:
        "Fetch."
        return text

    runner = runs.runner(asks(tool_request("fetch"), content=text), says(text, reasoning=text))
    events = await collect(runner.run(text, system_prompt=text, tools=["fetch"], messages=[{"role": "user", "content": text}], enable_memory=False))
    trace_id = events[0].data["trace_id"]
    steps = await runs.steps(trace_id)

    assert events[-1].type == "trace_completed"
    assert len(results(steps)[0]) <= AgentConfig().max_result_chars + 300  # the note on how to read on
    for attempt in (runner.add_feedback(trace_id, steps[-1].step_id, "negative", text), runner.cancel(trace_id, by=text), runner.pause(text)):
        try:
            await attempt
        except AgentError as refusal:
            assert len(str(refusal)) < 1_000  # noqa: PT017  either way is right


async def test_what_is_nested_without_end_is_cut_or_refused_wherever_it_comes_in(runs: Runs, tools: ToolRegistry, store: Store) -> None:
    @tools.tool(effect="read")
    async def fetch() -> Any:
        "Fetch."
        return deep()

    runner = runs.runner(asks(tool_request("fetch"), tool_request("write", {"text": "a"})), says("done", provider_state=None, usage={"deep": deep()}))
    events = await collect(runner.run("go", tools=["fetch", "write"], enable_memory=False))
    trace_id = events[0].data["trace_id"]
    (item,) = await runner.pending(trace_id=trace_id)
    refused: list[Any] = [
        runner.decide(trace_id, item.call_id, "edit", arguments={"text": deep()}),
        store.states.set("k", deep()),
        collect(runner.run("go", messages=[{"role": "user", "content": deep()}])),
        collect(runner.run([{"type": "text", "text": deep()}])),
    ]
    for attempt in refused:
        with pytest.raises(AgentError):
            await attempt
    await runner.decide(trace_id, item.call_id, "approve")
    ending = await collect(runner.resume(trace_id, temperature=deep()))

    assert ending[-1].type == "trace_completed"
    assert "nested too deep" in results(await runs.steps(trace_id))[0]


async def test_runs_go_on_beside_a_hostile_one(runs: Runs, done: list[Any]) -> None:
    hostile = says("", tool_calls=[{"function": {"name": "take", "arguments": '{"a":' * 100_000}}])
    endings = await asyncio.gather(*(runs.go(hostile if n % 2 else asks(tool_request("echo", {"text": str(n)})), "done") for n in range(20)))

    assert {types[-1] for types, _ in endings} == {"trace_completed"}
    assert sorted(done, key=int) == [str(n) for n in range(0, 20, 2)]
