"""Readers come late, are slow, go away, or sit in another process: the run does not mind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import ScriptedLLM, StreamingScriptedLLM, asks, tool_request

LOOK = asks(tool_request("look", {"where": "here"}))
WHOLE = ["trace_started", "llm_call_completed", "tool_executing", "tool_result", "llm_call_completed", "conclusion", "trace_completed"]


@asynccontextmanager
async def closing(stream: Any) -> AsyncIterator[Any]:
    try:
        yield stream
    finally:
        await stream.aclose()


class Gate:
    """A line of a script that waits until it is opened."""

    def __init__(self, line: Any) -> None:
        self.line, self.opened, self.reached = line, asyncio.Event(), asyncio.Event()

    async def __call__(self, messages: Any) -> Any:
        self.reached.set()
        await self.opened.wait()
        return self.line


@pytest.fixture
def gate() -> Gate:
    return Gate("done")


async def test_a_late_reader_is_told_the_same_as_the_first_one(make: Any) -> None:
    runner = make(LOOK, "done")
    events = await collect(runner.run("go", tools=["look"], enable_memory=False))
    again = await collect(runner.watch(events[0].data["trace_id"]))

    assert again == [event for event in events if event.type != "step_started"]


async def test_a_reader_that_joins_in_the_middle_misses_nothing_and_hears_nothing_twice(make: Any, gate: Gate) -> None:
    runner = make(LOOK, gate)
    stream = runner.run("go", tools=["look"], enable_memory=False)
    trace_id = (await read_until(stream, "tool_result"))[0].data["trace_id"]
    await gate.reached.wait()
    late = asyncio.ensure_future(collect(runner.watch(trace_id)))
    later = asyncio.ensure_future(collect(runner.watch(trace_id, after=2)))
    await asyncio.sleep(0)
    gate.opened.set()
    await collect(stream)

    assert types_of(await late) == WHOLE
    assert types_of(await later) == WHOLE[3:]


async def test_watching_can_begin_after_a_sequence(make: Any) -> None:
    runner = make(LOOK, "done")
    events = await collect(runner.run("go", tools=["look"], enable_memory=False))
    trace_id = events[0].data["trace_id"]

    assert [types_of(await collect(runner.watch(trace_id, after=n)))[0] for n in range(-1, 6)] == WHOLE


@pytest.mark.parametrize("how", ["aclose", "break", "cancel"])
async def test_a_reader_that_goes_away_leaves_the_run_going(how: str, make: Any, store: Store, gate: Gate) -> None:
    runner = make(gate)
    stream = runner.run("go")
    trace_id = (await read_until(stream, "step_started"))[0].data["trace_id"]
    if how == "aclose":
        await stream.aclose()
    elif how == "break":
        del stream
    else:
        reading = asyncio.ensure_future(collect(stream))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    gate.opened.set()
    events = await collect(runner.watch(trace_id))

    assert events[-1].type == "trace_completed"
    trace = await store.traces.get_trace(trace_id)
    assert trace is not None
    assert trace.status == "completed"


async def test_a_slow_reader_is_fed_from_the_log_and_gets_every_durable_event(make: Any) -> None:
    lines = [LOOK] * 6 + ["done"]
    runner = make(*lines, config={"watch_queue": 2})
    stream = runner.run("go", tools=["look"], enable_memory=False)
    first = await anext(stream)
    trace_id = first.data["trace_id"]
    fast = await collect(runner.watch(trace_id))
    slow = [first, *await collect(stream)]

    sequences = [event.data["sequence"] for event in slow if "sequence" in event.data]
    assert sequences == sorted(set(sequences))
    assert sequences == list(range(len(sequences)))
    assert slow[-1].type == fast[-1].type == "trace_completed"


async def test_tokens_pass_by_those_who_listen_and_are_not_recorded(make: Any, store: Store) -> None:
    runner = make(llm=StreamingScriptedLLM([LOOK, "well done"]))
    events = await collect(runner.run("go", tools=["look"], enable_memory=False))
    steps = await store.traces.read_steps(events[0].data["trace_id"])

    tokens = [event.data for event in events if event.type == "token"]
    assert [token["kind"] for token in tokens] == ["text", "tool_arguments", "text", "text"]
    assert "".join(token["text"] for token in tokens[2:]).strip() == "well done"
    assert not any("token" in step.step_type for step in steps)


async def test_a_reader_in_another_store_on_the_same_file_follows_a_run(tmp_path: Path, gate: Gate) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with open_store(url) as here, open_store(url) as there, AgentRunner(here.traces, llm_call=ScriptedLLM([gate])) as runner:
        stream = runner.run("go")
        trace_id = (await read_until(stream, "step_started"))[0].data["trace_id"]
        async with AgentRunner(there.traces, llm_call=ScriptedLLM(["unused"])) as other, closing(other.watch(trace_id)) as watching:
            await read_until(watching, "trace_started")
            gate.opened.set()
            events = await collect(watching)
        await collect(stream)

    assert types_of(events) == ["llm_call_completed", "conclusion", "trace_completed"]


@pytest.mark.parametrize(("stop", "ending"), [("pause", "trace_paused"), ("cancel", "trace_cancelled")])
async def test_a_run_can_be_stopped_through_another_store_on_the_same_file(stop: str, ending: str, tmp_path: Path) -> None:
    url, gate = f"sqlite:///{tmp_path / 'runs.db'}", Gate(asks())
    config = AgentConfig(control_interval_s=0.01)
    async with open_store(url) as here, open_store(url) as there, AgentRunner(here.traces, llm_call=ScriptedLLM([gate]), config=config) as runner:
        stream = runner.run("go")
        trace_id = (await read_until(stream, "step_started"))[0].data["trace_id"]
        async with AgentRunner(there.traces, llm_call=ScriptedLLM(["unused"])) as other:
            await getattr(other, stop)(trace_id, by="me")
        if stop == "pause":
            gate.opened.set()
        events = await collect(stream)

    assert events[-1].type == ending
    assert events[-1].data["by"] == "me"


async def test_a_run_that_nobody_reads_costs_no_events(make: Any, gate: Gate) -> None:
    runner = make(gate)
    stream = runner.run("go")
    trace_id = (await read_until(stream, "step_started"))[0].data["trace_id"]
    await stream.aclose()
    driver = runner._engine.drivers[trace_id]
    for _ in range(3):
        await asyncio.sleep(0)  # an inner generator is closed at one of the loop's next turns

    assert not driver.feed.has_watchers
    gate.opened.set()
    assert (await collect(runner.watch(trace_id)))[-1].type == "trace_completed"


async def test_watching_a_run_whose_owner_died_tells_it_so_far_and_ends(tmp_path: Path) -> None:
    url, gate = f"sqlite:///{tmp_path / 'runs.db'}", Gate("done")
    here = await open_store(url)
    runner = AgentRunner(here.traces, llm_call=ScriptedLLM([gate]))
    stream = runner.run("go")
    trace_id = (await read_until(stream, "step_started"))[0].data["trace_id"]
    await runner.aclose()
    await here.close()
    async with open_store(url) as there, AgentRunner(there.traces, llm_call=ScriptedLLM(["done"])) as other:
        told = await collect(other.watch(trace_id))
        rest = await collect(other.resume(trace_id))

    assert types_of(told) == ["trace_started"]
    assert types_of(rest) == ["llm_call_completed", "conclusion", "trace_completed"]
