"""Replies as they form: readers that come late, come back or are slow miss nothing that lasts, and hear nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.events import AgentEvent
from agent.llm.contract import Token
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.storage.ram.traces import RamTraceStore
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import asks, says, tool_request

WHOLE = ["trace_started", "llm_call_completed", "tool_executing", "tool_result", "llm_call_completed", "conclusion", "trace_completed"]


class Slow:
    """Asks for a look, then answers in `words` tokens; `gate` holds it back after the first half of them."""

    def __init__(self, words: int = 6) -> None:
        self.words = words
        self.gate, self.reached = asyncio.Event(), asyncio.Event()

    async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
        """Return the reply whole."""
        return [piece async for piece in self.stream(messages, model, tools)][-1]  # type: ignore[return-value]

    async def stream(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> AsyncIterator[Token | dict[str, Any]]:
        """Yield tokens of all kinds, then the reply."""
        if messages[-1]["role"] == "user":
            yield Token("reasoning", "hm ")
            yield Token("tool_arguments", '{"where": ', 0)
            yield Token("tool_arguments", '"x"}', 0)
            yield asks(tool_request("look", {"where": "x"}))
            return
        for number in range(self.words):
            if number == self.words // 2:
                self.reached.set()
                await self.gate.wait()
            yield Token("text", f"w{number} ")
        yield says("".join(f"w{number} " for number in range(self.words)))


def tokens_of(events: list[AgentEvent]) -> list[tuple[str, str]]:
    return [(event.data["kind"], event.data["text"]) for event in events if event.type == "token"]


def sequences_of(events: list[AgentEvent]) -> list[int]:
    return [event.data["sequence"] for event in events if "sequence" in event.data]


async def test_all_kinds_of_tokens_come_between_the_beginning_of_a_call_and_its_end(make: Any) -> None:
    model = Slow()
    model.gate.set()
    events = await collect(make(llm=model).run("go", tools=["look"], enable_memory=False))
    shown = [event.type for event in events]

    assert types_of(events) == WHOLE
    assert shown[1:6] == ["step_started", "token", "token", "token", "llm_call_completed"]
    assert tokens_of(events)[:3] == [("reasoning", "hm "), ("tool_arguments", '{"where": '), ("tool_arguments", '"x"}')]
    assert "".join(text for kind, text in tokens_of(events)[3:]) == events[-2].data["content"]
    assert not any("sequence" in event.data for event in events if event.type == "token")


async def test_a_reader_that_comes_while_a_reply_forms_gets_the_rest_of_it_and_all_that_lasts_once(make: Any) -> None:
    model = Slow()
    runner = make(llm=model)
    stream = runner.run("go", tools=["look"], enable_memory=False)
    trace_id = (await read_until(stream, "trace_started"))[0].data["trace_id"]
    await model.reached.wait()
    late, later = runner.watch(trace_id), runner.watch(trace_id, after=2)
    told, told_later = await read_until(late, "tool_result"), await read_until(later, "tool_result")
    model.gate.set()
    first = await collect(stream)
    told, told_later = told + await collect(late), told_later + await collect(later)

    assert types_of(told) == WHOLE
    assert types_of(told_later) == WHOLE[3:]
    assert tokens_of(told) == tokens_of(told_later) == [("text", f"w{n} ") for n in (3, 4, 5)]
    assert tokens_of(first)[-6:] == [("text", f"w{n} ") for n in range(6)]


async def test_a_reader_that_goes_and_comes_back_misses_nothing_that_lasts(make: Any) -> None:
    for leaves_at in ("trace_started", "token", "llm_call_completed", "tool_executing", "tool_result"):
        model = Slow()
        runner = make(llm=model)
        stream = runner.run("go", tools=["look"], enable_memory=False)
        before = await read_until(stream, leaves_at)
        await stream.aclose()
        model.gate.set()
        after = await collect(runner.watch(before[0].data["trace_id"], after=max(sequences_of(before))))

        assert types_of(before) + types_of(after) == WHOLE, leaves_at
        assert sequences_of(before) + sequences_of(after) == list(range(6)), leaves_at


async def test_a_reader_that_does_not_read_slows_no_run_and_gets_all_that_lasts(make: Any) -> None:
    model = Slow(words=5_000)
    model.gate.set()
    runner = make(llm=model, config={"watch_queue": 100})
    stream = runner.run("go", tools=["look"], enable_memory=False)
    first = await anext(stream)
    fast = await collect(runner.watch(first.data["trace_id"]))  # to its end, while the first reader has read one event
    slow = [first, *await collect(stream)]

    assert fast[-1].type == "trace_completed"
    assert types_of(slow) == WHOLE
    assert sequences_of(slow) == list(range(6))
    assert slow[-2].data["content"].endswith("w4999 ")


class Held(RamTraceStore):
    """A store whose reads are held back until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.reads, self.asked = asyncio.Event(), asyncio.Event()
        self.reads.set()

    async def read_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None) -> list[Step]:
        """Return the steps, when it is let."""
        self.asked.set()
        await self.reads.wait()
        return await super().read_steps(trace_id, after=after, limit=limit)


async def test_tokens_of_a_reply_that_is_known_whole_are_not_told_after_it(tools: Any) -> None:
    store, model = Held(), Slow()
    async with AgentRunner(store, tool_registry=tools, llm_call=model, config=AgentConfig(enable_memory=False)) as runner:
        stream = runner.run("go", tools=["look"])
        trace_id = (await read_until(stream, "trace_started"))[0].data["trace_id"]
        await model.reached.wait()
        store.reads.clear()
        store.asked.clear()
        late = asyncio.ensure_future(collect(runner.watch(trace_id)))
        await store.asked.wait()  # it listens, and its look at the log is under way
        model.gate.set()
        await collect(stream)
        store.reads.set()
        told = await late

    assert types_of(told) == WHOLE
    assert tokens_of(told) == []


@pytest.mark.parametrize("fails", [False, True])
async def test_a_reply_that_begins_anew_says_so(make: Any, fails: bool) -> None:
    class Restarting(Slow):
        async def stream(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> AsyncIterator[Token | dict[str, Any]]:
            """Begin twice."""
            yield Token("text", "wro")
            yield Token("restart", "")
            if fails:
                raise RuntimeError("cut")
            yield Token("text", "right")
            yield says("right")

    events: list[AgentEvent] = []
    try:
        await collect(make(llm=Restarting()).run("go", enable_memory=False), into=events)
    except RuntimeError:
        assert fails

    assert tokens_of(events)[:2] == [("text", "wro"), ("restart", "")]
    assert events[-1].type == ("trace_failed" if fails else "trace_completed")
