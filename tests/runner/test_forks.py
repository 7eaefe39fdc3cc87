"""Runs that go on from a step of another: with changes, from wherever one likes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.core.fold import fold
from agent.models.memory import Experience
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import ScriptedLLM, asks, tool_request


def seen(llm: ScriptedLLM, number: int = -1) -> list[Any]:
    """Return the contents of the messages that a model saw."""
    return [message["content"] for message in llm.calls[number]["messages"]]


LOOK = asks(tool_request("look", {"where": "x"}))
SEND = asks(tool_request("send", {"to": "ann"}))
PAY = asks(tool_request("pay", {"to": "ann"}))


async def test_a_fork_rests_until_it_is_resumed_and_then_goes_its_own_way(make: Any, a_run: Any, store: Store, done: list[str]) -> None:
    runner, trace_id = await a_run(LOOK, "the end", system_prompt="S")
    parent = await store.traces.get_trace_steps(trace_id)
    fork_id = await runner.fork(trace_id, 3)
    resting = await store.traces.get_trace(fork_id)

    assert resting is not None
    assert (resting.status, resting.parent_trace_id, resting.fork_at, resting.total_tokens) == ("paused", trace_id, 3, 0)
    assert done == ["look x"]
    llm = ScriptedLLM(["another end"], by_calls=True)
    events = await collect(make(llm=llm).resume(fork_id))
    steps = await store.traces.get_trace_steps(fork_id)
    ended = await store.traces.get_trace(fork_id)
    assert ended is not None
    assert [event.type for event in events][-2:] == ["conclusion", "trace_completed"]
    assert steps[:4] == parent[:4]
    assert [step.step_id for step in steps[4:]] == [f"{fork_id}/{n}" for n in (4, 5, 6)]
    assert [step.step_type for step in steps[4:]] == ["forked", "llm_call", "conclusion"]
    assert steps[5].data["messages"] == llm.calls[0]["messages"] == parent[4].data["messages"]
    assert steps[5].data["prompt_hash"] == parent[4].data["prompt_hash"]
    assert steps[5].parent_ids == (parent[1].step_id, parent[3].step_id, f"{fork_id}/4")
    assert (steps[6].data["content"], ended.status, ended.total_tokens) == ("another end", "completed", 15)
    assert await store.traces.get_trace_steps(trace_id) == parent
    assert (await store.traces.verify(fork_id)).entries == 7


@pytest.mark.parametrize("placement", ["user", "system"])
async def test_what_was_asked_can_be_changed(make: Any, store: Store, placement: str) -> None:
    await store.memories.add_experience(Experience.create("agent:default", "go", "look first", experience_id="e1"))
    given = [{"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"}]
    llm = ScriptedLLM([LOOK, "the end"], by_calls=True)
    runner = make(llm=llm, config={"memory_placement": placement})
    first = await collect(runner.run("go", messages=given, system_prompt="S", tools=["look"]))
    trace_id = first[0].data["trace_id"]
    original = seen(llm)
    for changes in (
        {"task": "stay"},
        {"system_prompt": "T"},
        {"system_prompt": None},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]},
        {"messages": None},
        {"memory": None},
        {"exclude_memory": ["e1"]},
        {"task": "stay", "system_prompt": "T", "messages": [], "model": "m2", "tools": []},
        {"task": "stay", "memory": [Experience.create("agent:default", "go", "run", experience_id="e2"), "e1"]},
    ):
        fork_id = await runner.fork(trace_id, 4, **changes)
        llm = ScriptedLLM(["ok"], by_calls=True)
        await collect(make(llm=llm).resume(fork_id))
        said = seen(llm)
        steps = await store.traces.get_trace_steps(fork_id)

        assert shape_faults(llm.calls[0]["messages"], is_request=True) == []
        assert steps[6].data["messages"] == llm.calls[0]["messages"]
        assert ("stay" in said) == ("task" in changes)
        assert ("go" in said) == ("task" not in changes)
        assert ("before" in said) == ("messages" not in changes)
        assert any(text.split("\n")[0] == "S" for text in said) == ("system_prompt" not in changes)
        assert any("look first" in text for text in said) == ("exclude_memory" not in changes and changes.get("memory", 1) is not None)
        assert any("e2" in text for text in said) == bool(changes.get("memory"))
        assert said[-1] == "seen x"
        assert llm.calls[0]["model"] == changes.get("model", "gpt-4o")
        assert bool(llm.calls[0]["tools"]) == ("tools" not in changes)
        assert (await store.traces.get_steps(fork_id))[6].data["model"] == changes.get("model", "gpt-4o")
        assert (await store.traces.get_step(fork_id, f"{fork_id}/6")).data["model"] == changes.get("model", "gpt-4o")
    unchanged = await runner.fork(trace_id, 4)
    llm = ScriptedLLM(["ok"], by_calls=True)
    await collect(make(llm=llm).resume(unchanged))
    assert seen(llm) == original


async def test_an_edited_result_is_what_the_model_is_told(make: Any, a_run: Any, store: Store) -> None:
    two = asks(tool_request("look", {"where": "x"}), tool_request("look", {"where": "y"}))
    runner, trace_id = await a_run(two, "the end")
    steps = await store.traces.get_trace_steps(trace_id)
    results = [step for step in steps if step.step_type == "tool_call"]
    whole = await runner.fork(trace_id, results[1].sequence, result={results[0].step_id: "nothing there", results[1].step_id: {"a": [1]}})
    within = await runner.fork(trace_id, results[0].sequence, result={results[0].step_id: "empty"})
    for fork_id, wanted in ((whole, ["nothing there", '{"a": [1]}']), (within, ["empty", "seen y"])):
        llm = ScriptedLLM(["ok"], by_calls=True)
        await collect(make(llm=llm).resume(fork_id))

        assert seen(llm)[-2:] == wanted
        assert shape_faults(llm.calls[0]["messages"], is_request=True) == []
    assert [s.data["result"] for s in await store.traces.get_trace_steps(whole) if s.step_type == "tool_call"] == ["seen x", "seen y"]


async def test_a_fork_at_every_step_gives_a_history_that_providers_take(make: Any, a_run: Any, store: Store) -> None:
    both = asks(tool_request("look", {"where": "x"}), tool_request("broken", {}), tool_request("nobody", {}))
    runner, trace_id = await a_run(both, LOOK, "the end", tools=["look", "broken"], system_prompt="S")
    count = len(await store.traces.get_trace_steps(trace_id))
    for at in range(count):
        fork_id = await runner.fork(trace_id, at)
        llm = ScriptedLLM(["ok"], by_calls=True)
        await collect(make(llm=llm).resume(fork_id))
        ended = await store.traces.get_trace(fork_id)

        assert all(shape_faults(call["messages"], is_request=True) == [] for call in llm.calls)
        assert ended is not None
        assert ended.status == "completed"
        assert len(llm.calls) == (1 if at < count - 2 else 0)
        assert (await store.traces.verify(fork_id)).entries == len(await store.traces.get_trace_steps(fork_id))


async def test_a_run_that_is_going_on_can_be_forked(make: Any, store: Store) -> None:
    gate = asyncio.Event()

    async def wait(_: Any) -> str:
        await gate.wait()
        return "the end"

    runner = make(llm=ScriptedLLM([LOOK, wait], by_calls=True))
    stream = runner.run("go", tools=["look"], enable_memory=False)
    async for event in stream:
        if event.type == "tool_result":
            break
    fork_id = await runner.fork(event.data["trace_id"], 3)
    events = await collect(make(llm=ScriptedLLM(["ok"], by_calls=True)).resume(fork_id))
    gate.set()
    rest = [event async for event in stream]

    assert [events[-1].type, rest[-1].type] == ["trace_completed"] * 2


async def test_a_run_of_a_conversation_can_be_forked_and_the_conversation_goes_on_without_the_fork(make: Any, store: Store) -> None:
    llm = ScriptedLLM(["one", LOOK, "two", "three"], by_calls=True)
    runner = make(llm=llm)
    for task in ("a", "b"):
        events = await collect(runner.run(task, conversation_id="talk", tools=["look"], enable_memory=False))
    fork_id = await runner.fork(events[0].data["trace_id"], 0, task="c", system_prompt="S")
    await collect(runner.run("d", conversation_id="talk", enable_memory=False))
    forked = ScriptedLLM(["ok"], by_calls=True)
    await collect(make(llm=forked).resume(fork_id))

    assert seen(forked) == ["S", "a", "one", "c"]
    assert seen(llm) == ["a", "one", "b", "", "seen x", "two", "d"]
    assert (await store.traces.get_trace_steps(fork_id))[2].data["messages"] == forked.calls[0]["messages"]


async def test_a_run_that_failed_was_cancelled_or_paused_goes_on_in_a_fork(make: Any, store: Store) -> None:
    runner = make(llm=ScriptedLLM([LOOK, RuntimeError("no")], by_calls=True))
    with pytest.raises(RuntimeError):
        await collect(runner.run("go", tools=["look"], enable_memory=False))
    failed = (await store.traces.list_traces())[0].trace_id
    forks = [await runner.fork(failed, 4)]
    await runner.cancel(failed)
    forks.append(await runner.fork(failed, 5))
    for fork_id in forks:
        events = await collect(make(llm=ScriptedLLM(["ok"], by_calls=True)).resume(fork_id))

        assert events[-1].type == "trace_completed"


async def test_a_limit_that_was_reached_is_raised_in_a_fork_too(make: Any, a_run: Any, store: Store) -> None:
    runner, trace_id = await a_run(LOOK, "so far", max_iterations=1)
    last = (await store.traces.head(trace_id)).next_sequence - 1
    fork_id = await runner.fork(trace_id, last)
    trace = await store.traces.get_trace(fork_id)
    events = await collect(make(llm=ScriptedLLM(["ok"], by_calls=True)).resume(fork_id, limits={"max_iterations": 3}))

    assert trace is not None
    assert trace.status == "limit_reached"
    assert events[-1].type == "trace_completed"


async def test_memory_is_left_out_before_it_was_read(make: Any, a_run: Any, store: Store) -> None:
    await store.memories.add_experience(Experience.create("agent:default", "go", "look first", experience_id="e1"))
    runner, trace_id = await a_run("the end", enable_memory=True)
    for changes, count in (({"memory": None}, 1), ({}, 2), ({"memory": ["e1"]}, 2)):
        fork_id = await runner.fork(trace_id, 0, **changes)
        llm = ScriptedLLM(["ok"], by_calls=True)
        await collect(make(llm=llm).resume(fork_id))

        assert len(seen(llm)) == count


async def test_a_watcher_of_a_fork_is_told_what_it_inherited(make: Any, a_run: Any) -> None:
    runner, trace_id = await a_run(LOOK, "the end")
    fork_id = await runner.fork(trace_id, 3)
    await collect(make(llm=ScriptedLLM(["ok"], by_calls=True)).resume(fork_id))
    events = [event async for event in runner.watch(fork_id)]

    assert {event.data["trace_id"] for event in events} == {fork_id}
    assert [event.data["step_id"] for event in events if event.type == "tool_result"] == [f"{trace_id}/3"]
    assert events[-1].type == "trace_completed"


@pytest.mark.parametrize("length", [10, 300])
async def test_a_fork_of_a_long_run_takes_no_more_than_of_a_short_one(tmp_path: Path, length: int, tools: Any) -> None:
    path = tmp_path / "runs.db"
    async with open_store(f"sqlite:///{path}") as store:
        config = AgentConfig(max_repeated_calls=None)
        async with AgentRunner(store.traces, tool_registry=tools, llm_call=ScriptedLLM([LOOK] * length + ["end"], by_calls=True), config=config) as runner:
            events = await collect(runner.run("go", tools=["look"], max_iterations=length + 1, enable_memory=False))
            await store.traces.backup(tmp_path / "before.db")
            fork_id = await runner.fork(events[0].data["trace_id"], 3 * length)
            await store.traces.backup(tmp_path / "after.db")
        state = fold(await store.traces.read_steps(fork_id))

    assert state.iterations == length
    assert (tmp_path / "after.db").stat().st_size - (tmp_path / "before.db").stat().st_size <= 2 * 4096
