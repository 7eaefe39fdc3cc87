"""A tool's probe is asked what became of an unsafe call before a person is."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.errors import ConfigInvalid
from agent.runner import AgentRunner
from agent.storage.ram.traces import RamTraceStore
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.probing import Done
from agent.tools.registry import ToolRegistry


@pytest.fixture
def store() -> RamTraceStore:
    return RamTraceStore()


def paying(probe: Callable[..., Any], began: asyncio.Event, done: list[int], *, timeout_s: float | None = None) -> ToolRegistry:
    """Return a tool that hangs at its first attempt."""
    registry = ToolRegistry()

    @registry.tool(effect="unsafe", probe=probe, timeout_s=timeout_s)
    async def pay(ctx: ToolContext, to: str) -> str:
        "Pay."
        done.append(ctx.attempt)
        began.set()
        if ctx.attempt == 1:
            await asyncio.Event().wait()
        return f"paid {to} at attempt {ctx.attempt}"

    return registry


def runner_on(store: RamTraceStore, tools: ToolRegistry, **config: Any) -> AgentRunner:
    return AgentRunner(store, tool_registry=tools, llm_call=ScriptedLLM([asks(tool_request("pay", {"to": "ada"})), "done"]), config=AgentConfig(**config))


async def crashed(store: RamTraceStore, probe: Callable[..., Any], done: list[int], **config: Any) -> tuple[str, AgentRunner]:
    """Leave a run in the middle of its call; return it, and a runner to go on with."""
    began = asyncio.Event()
    tools = paying(probe, began, done)
    runner = runner_on(store, tools)
    trace_id = (await read_until(runner.run("go", tools=["pay"]), "tool_executing"))[0].data["trace_id"]
    await began.wait()
    await runner.aclose()
    return trace_id, runner_on(store, tools, **config)


async def said(store: RamTraceStore, trace_id: str, kind: str) -> list[dict[str, Any]]:
    return [step.data for step in await store.read_steps(trace_id) if step.step_type == kind]


async def test_a_probe_that_knows_the_result_spares_a_person_the_question(store: RamTraceStore) -> None:
    asked: list[Any] = []

    async def probe(key: str, ctx: ToolContext, arguments: dict[str, Any]) -> Done:
        asked.append((key, ctx.uid, arguments))
        return Done({"receipt": 7})

    done: list[int] = []
    trace_id, runner = await crashed(store, probe, done)
    events = await collect(runner.resume(trace_id))
    steps = await store.read_steps(trace_id)

    assert asked == [(f"{trace_id}/1.0", "anonymous", {"to": "ada"})]
    assert types_of(events) == ["tool_result", "llm_call_completed", "conclusion", "trace_completed"]
    assert events[0].data["result"] == '{"receipt": 7}'
    assert [s.step_type for s in steps][3:6] == ["in_doubt", "in_doubt_resolved", "tool_call"]
    assert (steps[4].data["by"], steps[4].data["outcome"]) == ("probe", "done")
    assert done == [1]
    await runner.aclose()


async def test_a_call_that_the_probe_says_was_not_done_is_made_again(store: RamTraceStore) -> None:
    done: list[int] = []
    trace_id, runner = await crashed(store, lambda key: False, done)
    events = await collect(runner.resume(trace_id))

    assert done == [1, 2]
    assert events[-1].type == "trace_completed"
    assert (await said(store, trace_id, "tool_call"))[0]["result"] == "paid ada at attempt 2"
    assert (await said(store, trace_id, "in_doubt_resolved"))[0] == {"call_id": "1.0", "outcome": "retry", "by": "probe"}
    await runner.aclose()


async def hang(key: str) -> bool:
    await asyncio.Event().wait()
    return True


async def broken(key: str) -> bool:
    raise RuntimeError("no route")


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        (lambda key: None, "the probe does not know"),
        (broken, "the probe failed: RuntimeError: no route"),
        (hang, "the probe took longer than 0.02 s"),
        (lambda key: "yes", "the probe answered with a value of type str, not with Done(result), True, False or None"),
        (lambda key: 1, "the probe answered with a value of type int"),
    ],
)
async def test_a_probe_that_does_not_say_leaves_it_to_a_person(store: RamTraceStore, probe: Callable[..., Any], why: str) -> None:
    done: list[int] = []
    trace_id, runner = await crashed(store, probe, done, probe_timeout_s=0.02)
    events = await collect(runner.resume(trace_id))
    (item,) = await runner.pending()

    assert events[-1].type == "trace_waiting"
    assert (item.reason, item.arguments) == ("in_doubt", {"to": "ada"})
    assert item.detail is not None
    assert why in item.detail
    assert done == [1]
    await runner.aclose()


@pytest.mark.parametrize(
    ("answer", "told", "ok"), [(Done("receipt 7"), "receipt 7", True), (True, "This call took effect.", True), (False, "This call did not take effect.", False)]
)
async def test_after_a_timeout_the_model_is_told_what_the_probe_says_and_nothing_runs_again(store: RamTraceStore, answer: Any, told: str, ok: bool) -> None:
    done: list[int] = []
    async with runner_on(store, paying(lambda key: answer, asyncio.Event(), done, timeout_s=0.02)) as runner:
        events = await collect(runner.run("go", tools=["pay"]))
    (result,) = (e for e in events if e.type == "tool_result")

    assert events[-1].type == "trace_completed"
    assert (result.data["result"], result.data["ok"]) == (told, ok)
    assert done == [1]


async def test_after_a_cancel_a_call_that_the_probe_knows_of_waits_for_nobody(store: RamTraceStore) -> None:
    done: list[int] = []
    began = asyncio.Event()
    async with runner_on(store, paying(lambda key: Done("receipt 7"), began, done)) as runner:
        stream = runner.run("go", tools=["pay"])
        trace_id = (await read_until(stream, "tool_executing"))[0].data["trace_id"]
        await began.wait()
        await runner.cancel(trace_id)
        events = await collect(stream)
        left = await runner.pending()

    assert events[-1].type == "trace_cancelled"
    assert left == []
    assert (await said(store, trace_id, "in_doubt_resolved"))[0]["result"] == "receipt 7"


async def test_not_done_is_not_believed_of_a_call_that_may_still_be_at_work(store: RamTraceStore) -> None:
    registry, go = ToolRegistry(), threading.Event()

    @registry.tool(effect="unsafe", probe=lambda key: False, timeout_s=0.02)
    def pay(to: str) -> str:
        "Pay in a thread that nobody can stop."
        go.wait(30)
        return "paid"

    async with runner_on(store, registry) as runner:
        events = await collect(runner.run("go", tools=["pay"]))
        (item,) = await runner.pending()
    go.set()

    assert events[-1].type == "trace_waiting"
    assert "may still be at work" in str(item.detail)


async def test_the_word_of_a_probe_is_redacted(store: RamTraceStore) -> None:
    done: list[int] = []
    trace_id, runner = await crashed(store, lambda key: Done("open-sesame-42"), done, secrets={"DOOR": "open-sesame-42"})
    await collect(runner.resume(trace_id))

    assert (await said(store, trace_id, "in_doubt_resolved"))[0]["result"] == "[secret:DOOR]"
    await runner.aclose()


@pytest.mark.parametrize("probe", [lambda: True, lambda key, other: True, lambda key, *, colour: True])
def test_a_probe_that_cannot_be_asked_is_refused_when_it_is_registered(probe: Callable[..., Any]) -> None:
    with pytest.raises(ConfigInvalid, match="a probe takes the idempotency key"):
        ToolRegistry().register(lambda: None, name="pay", effect="unsafe", probe=probe)
