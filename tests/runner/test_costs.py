"""What model calls cost is summed as far as it can be known, and said to be partial where it cannot."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.errors import ModelNotConfigured, ModelRejected, ModelUnavailable
from agent.llm.contract import Token
from agent.llm.fallback import Fallback
from agent.llm.retry import Patience, Retrying
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, read_until
from agent.testing.scripted import ScriptedLLM, asks, tool_request

Make = Callable[..., AgentRunner]
PAID: dict[str, Any] = {"content": "done", "prompt_tokens": 10, "completion_tokens": 2, "cost": 0.5}
LOOK: dict[str, Any] = {**asks(tool_request("look", {"where": "a"})), "cost": 0.25}
AT_ONCE = Patience(first_wait_s=0.0)


async def account(store: Store, trace_id: str) -> tuple[float | None, bool]:
    trace = await store.traces.get_trace(trace_id)
    assert trace is not None
    return trace.total_cost, trace.cost_is_partial


async def test_what_is_known_is_summed_and_whole(make: Make, store: Store) -> None:
    events = await collect(make(LOOK, PAID).run("go", tools=["look"]))

    assert await account(store, events[0].data["trace_id"]) == (0.75, False)


@pytest.mark.parametrize("is_same_runner", [True, False])
async def test_a_call_that_was_cut_off_with_its_process_is_made_again_and_the_cost_is_partial(is_same_runner: bool, make: Make, store: Store) -> None:
    asked = asyncio.Event()

    async def answers_late(messages: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    first = make(LOOK, answers_late)
    trace_id = (await read_until(first.run("go", tools=["look"]), "tool_result"))[0].data["trace_id"]
    await asked.wait()
    await first.aclose()
    first.llm_call = ScriptedLLM([LOOK, PAID])
    events = await collect((first if is_same_runner else make(LOOK, PAID)).resume(trace_id))

    assert events[-1].data["total_cost"] == 0.75
    assert events[-1].data["cost_is_partial"] is True
    assert await account(store, trace_id) == (0.75, True)


@pytest.mark.parametrize(
    ("error", "is_partial"),
    [
        (ModelUnavailable("overloaded", status=503), False),
        (ModelUnavailable("the connection broke"), True),
        (ModelRejected("no such key", status=401), False),
        (ModelNotConfigured("no key"), False),
        (RuntimeError("who knows"), True),
    ],
)
async def test_a_failed_call_that_is_tried_again_by_a_resume_counts_for_what_is_known(error: Exception, is_partial: bool, make: Make, store: Store) -> None:
    events: list[Any] = []
    with pytest.raises(type(error)):
        await collect(make(LOOK, error).run("go", tools=["look"]), into=events)
    trace_id = events[0].data["trace_id"]
    failed = await account(store, trace_id)
    await collect(make(LOOK, PAID).resume(trace_id))

    assert failed == (0.25, is_partial)
    assert await account(store, trace_id) == (0.75, is_partial)


@pytest.mark.parametrize(("error", "is_partial"), [(ModelUnavailable("overloaded", status=503), False), (ModelUnavailable("the connection broke"), True)])
@pytest.mark.parametrize("kind", ["retry", "fallback"])
async def test_tries_that_were_refused_cost_nothing_and_those_that_broke_off_may(
    kind: str, error: Exception, is_partial: bool, make: Make, store: Store
) -> None:
    script = ScriptedLLM([error, PAID], by_calls=True)
    model = Retrying(script, AT_ONCE) if kind == "retry" else Fallback([ScriptedLLM([error]), ScriptedLLM([PAID])])
    events = await collect(make(llm=model).run("go"))
    (step,) = [s for s in await store.traces.read_steps(events[0].data["trace_id"]) if s.step_type == "llm_call"]

    assert step.data["attempts"] == 2
    assert await account(store, events[0].data["trace_id"]) == (0.5, is_partial)


class BreaksOff:
    """A stream that breaks after its first word, once; the provider even says with which status."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> Any:
        self.calls += 1
        yield Token("text", "do")
        if self.calls == 1:
            raise ModelUnavailable("overloaded in the middle", status=529)
        yield PAID


async def test_a_stream_that_broke_after_its_first_token_may_have_been_billed(make: Make, store: Store) -> None:
    events = await collect(make(llm=Retrying(BreaksOff(), AT_ONCE)).run("go"))

    assert await account(store, events[0].data["trace_id"]) == (0.5, True)


async def test_a_call_that_a_cancel_cut_off_may_have_been_billed(make: Make, store: Store) -> None:
    asked = asyncio.Event()

    async def answers_late(messages: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    runner = make(LOOK, answers_late)
    stream = runner.run("go", tools=["look"])
    trace_id = (await read_until(stream, "tool_result"))[0].data["trace_id"]
    await asked.wait()
    await runner.cancel(trace_id)
    events = await collect(stream)

    assert (events[-1].type, events[-1].data["total_cost"], events[-1].data["cost_is_partial"]) == ("trace_cancelled", 0.25, True)
    assert await account(store, trace_id) == (0.25, True)


async def test_a_run_whose_dead_owner_was_asking_is_cancelled_with_a_partial_cost(tmp_path: Path, make: Make) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'two.db'}") as store, open_store(f"sqlite:///{tmp_path / 'two.db'}") as other:
        asked = asyncio.Event()

        async def answers_late(messages: Any) -> Any:
            asked.set()
            await asyncio.Event().wait()

        runner = make(LOOK, answers_late, trace_store=store.traces, memory_store=None)
        trace_id = (await read_until(runner.run("go", tools=["look"]), "tool_result"))[0].data["trace_id"]
        await asked.wait()
        await runner.aclose()
        await make("unused", trace_store=other.traces, memory_store=None).cancel(trace_id)

        assert await account(other, trace_id) == (0.25, True)
