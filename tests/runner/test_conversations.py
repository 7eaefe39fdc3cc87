"""Runs of a conversation go on from each other's messages: by reference, over processes, in a straight line of bytes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.errors import ConversationBusy
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, read_until
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import ScriptedLLM, asks, tool_request


async def test_a_later_run_sees_the_messages_of_the_earlier_ones(make: Any, store: Store) -> None:
    llm = ScriptedLLM([asks(tool_request("look", {"where": "x"})), "one", "two", "three"], by_calls=True)
    runner = make(llm=llm)
    for task in ("a", "b", "c"):
        events = await collect(runner.run(task, conversation_id="talk", system_prompt="S" if task == "a" else None, tools=["look"], enable_memory=False))
    steps = await store.traces.get_trace_steps(events[0].data["trace_id"])

    seen = [message["content"] for message in llm.calls[-1]["messages"]]
    assert seen == ["S", "a", "", "seen x", "one", "b", "two", "c"]
    assert shape_faults(llm.calls[-1]["messages"], is_request=True) == []
    assert steps[1].data["messages"] == llm.calls[-1]["messages"]
    assert "messages" not in steps[0].data


async def test_a_later_system_prompt_takes_the_place_of_the_earlier(make: Any) -> None:
    llm = ScriptedLLM(["one", "two"], by_calls=True)
    runner = make(llm=llm)
    for number in (1, 2):
        await collect(runner.run(f"t{number}", conversation_id="talk", system_prompt=f"S{number}"))

    assert [m["content"] for m in llm.calls[1]["messages"]] == ["S2", "t1", "one", "t2"]


async def test_a_conversation_goes_on_in_another_process_and_a_failed_run_of_it_is_resumed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with open_store(url) as store, AgentRunner(store.traces, llm_call=ScriptedLLM(["one", RuntimeError("no")], by_calls=True)) as runner:
        await collect(runner.run("a", conversation_id="talk"))
        with pytest.raises(RuntimeError):
            await collect(runner.run("b", conversation_id="talk"))
        trace_id = (await store.traces.list_traces())[0].trace_id
    llm = ScriptedLLM(["two", "three"], by_calls=True)
    async with open_store(url) as store, AgentRunner(store.traces, llm_call=llm) as runner:
        await collect(runner.resume(trace_id))
        await collect(runner.run("c", conversation_id="talk"))

    assert [[m["content"] for m in call["messages"]] for call in llm.calls] == [["a", "one", "b"], ["a", "one", "b", "two", "c"]]


async def test_ids_of_calls_stay_unique_over_a_conversation(make: Any) -> None:
    nameless = {"content": None, "tool_calls": [{"function": {"name": "look", "arguments": '{"where": "x"}'}}]}
    llm = ScriptedLLM([nameless, "one", nameless, "two"], by_calls=True)
    runner = make(llm=llm)
    for task in ("a", "b"):
        await collect(runner.run(task, conversation_id="talk", tools=["look"], enable_memory=False))

    assert shape_faults(llm.calls[-1]["messages"], is_request=True) == []


async def test_a_conversation_whose_run_has_not_ended_is_busy(make: Any) -> None:
    gate = asyncio.Event()

    async def wait(messages: Any) -> str:
        await gate.wait()
        return "done"

    runner = make(wait)
    stream = runner.run("a", conversation_id="talk")
    await read_until(stream, "step_started")
    with pytest.raises(ConversationBusy, match="'talk'"):
        await collect(runner.run("b", conversation_id="talk"))
    gate.set()
    await collect(stream)


async def test_conversations_of_two_uids_do_not_meet(make: Any) -> None:
    llm = ScriptedLLM(["one", "two"], by_calls=True)
    runner = make(llm=llm)
    await collect(runner.run("a", conversation_id="talk", uid="ada"))
    await collect(runner.run("b", conversation_id="talk", uid="bob"))

    assert [m["content"] for m in llm.calls[1]["messages"]] == ["b"]


async def test_a_conversation_grows_on_the_disk_by_what_is_new(tmp_path: Path) -> None:
    sizes: list[int] = []
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        llm = ScriptedLLM(["answer " * 200] * 60, by_calls=True)
        async with AgentRunner(store.traces, llm_call=llm) as runner:
            for turn in range(60):
                await collect(runner.run(f"{turn} " * 300, conversation_id="talk"))
                if turn in (19, 39, 59):
                    sizes.append(await store.traces.backup(tmp_path / f"copy-{turn}.db"))

    assert len(llm.calls[-1]["messages"]) == 119
    assert sizes[2] - sizes[1] < 1.5 * (sizes[1] - sizes[0])


async def test_of_many_runs_of_one_conversation_that_begin_at_once_one_goes_on_and_the_others_are_told(make: Any, store: Store) -> None:
    others_were_told = asyncio.Event()

    async def wait(_: Any) -> str:
        await others_were_told.wait()
        return "one"

    runners = [make(wait, "two") for _ in range(4)]
    refused: list[str] = []

    async def talk(number: int) -> str:
        try:
            events = await collect(runners[number % 4].run(f"t{number}", conversation_id="talk", enable_memory=False))
        except ConversationBusy as error:
            refused.append(str(error))
            if len(refused) == 7:
                others_were_told.set()
            return "busy"
        return events[-1].type

    endings = await asyncio.gather(*(talk(number) for number in range(8)))

    assert sorted(endings) == ["busy"] * 7 + ["trace_completed"]
    assert len(await store.traces.list_traces(conversation_id="talk")) == 1
    assert all("is running; resume or cancel it first" in sentence for sentence in refused)


async def test_a_run_that_begins_while_another_of_the_conversation_ends_goes_on_from_that_one(make: Any, store: Store) -> None:
    """The other one begins and ends between the look at the conversation and the first step."""
    llm = ScriptedLLM(["one", "two"], by_calls=True)
    first, second = make(llm=llm), make(llm=llm)
    seen = second._engine.conversations.latest
    looked: list[Any] = []

    async def look(*place: Any) -> Any:
        found = await seen(*place)
        if not looked:
            looked.append(found)
            await collect(first.run("a", conversation_id="talk", enable_memory=False))
        return found

    second._engine.conversations.latest = look
    await collect(second.run("b", conversation_id="talk", enable_memory=False))

    assert looked == [None]
    assert [m["content"] for m in llm.calls[-1]["messages"]] == ["a", "one", "b"]
