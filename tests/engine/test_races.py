"""What happens when two things happen at once: each race is forced by a store that lets the other one in at the worst moment."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.errors import RunError, StoreFull
from agent.models.trace import Step, Trace
from agent.runner import AgentRunner
from agent.storage.ram.traces import RamTraceStore
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

Hook = Callable[[str, Sequence[Step], Mapping[str, Any]], Awaitable[None]]


class Meddled(RamTraceStore):
    """Calls `before` and `after` around each append of the store's owner."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Hook | None = None
        self.after: Hook | None = None
        self._is_meddling = False

    async def add_steps(self, trace_id: str, steps: Sequence[Step], *, epoch: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        await self._meddle(self.before, trace_id, steps, changes or {})
        await super().add_steps(trace_id, steps, epoch=epoch, changes=changes)
        await self._meddle(self.after, trace_id, steps, changes or {})

    async def _meddle(self, hook: Hook | None, trace_id: str, steps: Sequence[Step], changes: Mapping[str, Any]) -> None:
        if hook is not None and not self._is_meddling:
            self._is_meddling = True
            try:
                await hook(trace_id, steps, changes)
            finally:
                self._is_meddling = False


class Slow(RamTraceStore):
    """Answers only after `gate` is open, though it did at once what it was asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.reached = asyncio.Event(), asyncio.Event()

    async def _answer(self) -> None:
        self.reached.set()
        await self.gate.wait()

    async def open_trace(self, trace: Trace, steps: Sequence[Step], **options: Any) -> None:
        await super().open_trace(trace, steps, **options)
        await self._answer()

    async def claim(self, trace_id: str, *, expected_epoch: int) -> int:
        epoch = await super().claim(trace_id, expected_epoch=expected_epoch)
        await self._answer()
        return epoch


def once(step_type: str, act: Callable[[str], Awaitable[Any]]) -> Hook:
    """Act at the first append that has a step of a kind."""
    done: list[str] = []

    async def hook(trace_id: str, steps: Sequence[Step], changes: Mapping[str, Any]) -> None:
        if not done and any(step.step_type == step_type for step in steps):
            done.append(step_type)
            await act(trace_id)

    return hook


@pytest.fixture
def store() -> Meddled:
    return Meddled()


@pytest.fixture
def paid() -> list[str]:
    return []


@pytest.fixture
def tools(paid: list[str]) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="unsafe")
    async def pay(to: str) -> str:
        "Pay."
        paid.append(to)
        return f"paid {to}"

    return registry


def runner_on(store: RamTraceStore, tools: ToolRegistry, *lines: Any, **config: Any) -> AgentRunner:
    return AgentRunner(trace_store=store, tool_registry=tools, llm_call=ScriptedLLM(lines), config=AgentConfig(**config))


async def kinds(store: RamTraceStore, trace_id: str) -> list[str]:
    return [step.step_type for step in await store.read_steps(trace_id)]


async def test_a_pause_right_after_an_announcement_lets_the_announced_call_run(store: Meddled, tools: ToolRegistry, paid: list[str]) -> None:
    async with runner_on(store, tools, asks(tool_request("pay", {"to": "ada"})), "done") as runner:
        store.after = once("tool_started", runner.pause)
        events = await collect(runner.run("go", tools=["pay"]))
        trace_id = events[0].data["trace_id"]
        rest = await collect(runner.resume(trace_id))

    assert events[-1].type == "trace_paused"
    assert types_of(rest)[-1] == "trace_completed"
    assert paid == ["ada"]
    assert "in_doubt" not in await kinds(store, trace_id)


@pytest.mark.parametrize("moment", ["llm_call", "tool_call", "conclusion"])
async def test_a_pause_that_comes_before_an_append_is_obeyed_and_costs_nothing(moment: str, store: Meddled, tools: ToolRegistry, paid: list[str]) -> None:
    async with runner_on(store, tools, asks(tool_request("pay", {"to": "ada"})), "done") as runner:
        store.before = once(moment, lambda trace_id: runner.pause(trace_id, by="me"))
        events = await collect(runner.run("go", tools=["pay"]))
        trace_id = events[0].data["trace_id"]
        rest = await collect(runner.resume(trace_id))

    assert (events[-1].type, events[-1].data["by"]) == ("trace_paused", "me")
    assert rest[-1].type == "trace_completed"
    assert paid == ["ada"]
    assert (await kinds(store, trace_id)).count("llm_call") == 2


async def test_a_refused_call_that_meets_a_pause_does_not_fail_the_run(store: Meddled, tools: ToolRegistry) -> None:
    @tools.tool(effect="read", requires_confirmation=True)
    async def look() -> str:
        "Look."
        return "seen"

    replies = [asks(*[tool_request("pay", {"to": str(n)}) for n in range(3)]), "done"]
    async with runner_on(store, tools, *replies, parallel_tools=1) as runner:
        seen: list[int] = []

        async def hook(trace_id: str, steps: Sequence[Step], changes: Mapping[str, Any]) -> None:
            if [step.step_type for step in steps] == ["tool_started"] and not seen:
                seen.append(1)
                await runner.pause(trace_id)

        store.before = hook
        events = await collect(runner.run("go", tools=["pay"]))

    assert seen
    assert events[-1].type == "trace_paused"


@pytest.mark.parametrize("stop", ["pause", "cancel"])
async def test_stopping_a_run_that_completes_at_that_moment_leaves_it_completed(stop: str, store: Meddled, tools: ToolRegistry) -> None:
    async with runner_on(store, tools, "done") as runner, runner_on(store, tools, "unused") as other:
        ended = asyncio.Event()

        async def before(trace_id: str, steps: Sequence[Step], changes: Mapping[str, Any]) -> None:
            if any(step.step_type in ("paused", "cancelled") for step in steps):
                ended.set()
                await collect(runner.watch(trace_id))

        async def wait_for_end(messages: Any) -> str:
            await ended.wait()
            return "done"

        runner.llm_call = ScriptedLLM([wait_for_end])
        stream = runner.run("go")
        trace_id = (await read_until(stream, "trace_started"))[0].data["trace_id"]
        store.before = before
        with pytest.raises(RunError, match="is completed"):
            await getattr(other, stop)(trace_id)
        events = await collect(stream)

    trace = await store.get_trace(trace_id)
    assert events[-1].type == "trace_completed"
    assert trace is not None
    assert trace.status == "completed"
    assert (await kinds(store, trace_id))[-1] == "conclusion"


async def test_a_run_that_completes_while_it_is_taken_over_stays_completed(store: Meddled, tools: ToolRegistry) -> None:
    async with runner_on(store, tools, "done") as runner, runner_on(store, tools, "unused") as other:
        go = asyncio.Event()
        claim = store.claim

        async def wait(messages: Any) -> str:
            await go.wait()
            return "done"

        async def claim_late(trace_id: str, *, expected_epoch: int) -> int:
            go.set()
            await collect(runner.watch(trace_id))
            return await claim(trace_id, expected_epoch=expected_epoch)

        runner.llm_call = ScriptedLLM([wait])
        stream = runner.run("go")
        trace_id = (await read_until(stream, "trace_started"))[0].data["trace_id"]
        store.claim = claim_late  # type: ignore[method-assign]  # the worst moment
        taken = await collect(other.resume(trace_id, take_over=True, limits={"max_iterations": 99}))
        await collect(stream)

    trace = await store.get_trace(trace_id)
    head = await store.head(trace_id)
    assert trace is not None
    assert (trace.status, head.owner) == ("completed", None)
    assert taken[-1].type == "trace_completed"


async def test_a_cancel_is_carried_out_once_however_often_it_is_heard(store: Meddled) -> None:
    tools, began = ToolRegistry(), asyncio.Event()

    @tools.tool(effect="unsafe")
    async def slow() -> str:
        "Take time to stop."
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)  # longer than the runner looks for news
        return ""

    llm = asks(tool_request("slow"), tool_request("slow"))
    async with runner_on(store, tools, llm, control_interval_s=0.01, cancel_grace_s=0.05) as runner:
        stream = runner.run("go", tools=["slow"])
        trace_id = (await read_until(stream, "tool_executing"))[0].data["trace_id"]
        await began.wait()
        await runner.cancel(trace_id, by="me")
        events = await collect(stream)

    assert (events[-1].type, events[-1].data["by"]) == ("trace_cancelled", "me")
    assert (await kinds(store, trace_id))[-3:] == ["cancelled", "in_doubt", "in_doubt"]


async def test_a_run_whose_failure_cannot_be_written_can_be_resumed_here(store: Meddled, tools: ToolRegistry, paid: list[str]) -> None:
    async def refuse(trace_id: str, steps: Sequence[Step], changes: Mapping[str, Any]) -> None:
        raise StoreFull("no space left")

    events: list[Any] = []
    async with runner_on(store, tools, asks(tool_request("pay", {"to": "ada"})), "done") as runner:
        store.before = refuse
        with pytest.raises(StoreFull):
            await collect(runner.run("go", tools=["pay"]), into=events)
        store.before = None
        rest = await collect(runner.resume(events[0].data["trace_id"]))

    assert events[-1].type == "trace_failed"
    assert rest[-1].type == "trace_completed"
    assert paid == ["ada"]


async def test_results_of_tools_that_ended_are_kept_when_the_process_lets_go(store: Meddled) -> None:
    tools, quick_ended = ToolRegistry(), asyncio.Event()

    @tools.tool(effect="unsafe")
    async def quick() -> str:
        "End at once."
        quick_ended.set()
        return "quick"

    @tools.tool(effect="read")
    async def stuck() -> str:
        "Never end."
        await asyncio.Event().wait()
        return ""

    runner = runner_on(store, tools, asks(tool_request("stuck"), tool_request("quick")))
    stream = runner.run("go", tools=["quick", "stuck"])
    trace_id = (await read_until(stream, "tool_executing"))[0].data["trace_id"]
    await quick_ended.wait()
    await runner.aclose()
    rest = await collect(stream)

    assert "trace_failed" not in types_of(rest)
    assert [s.data["result"] for s in await store.read_steps(trace_id) if s.step_type == "tool_call"] == ["quick"]
    assert (await store.head(trace_id)).owner is None


async def test_a_reader_of_a_runner_that_is_closed_sees_its_stream_end(store: Meddled, tools: ToolRegistry) -> None:
    async def never(messages: Any) -> str:
        await asyncio.Event().wait()
        return ""

    runner = runner_on(store, tools, never)
    stream = runner.run("go")
    await read_until(stream, "step_started")
    reading = asyncio.ensure_future(collect(stream))
    await asyncio.sleep(0)
    await runner.aclose()

    assert await reading == []
    assert not reading.cancelled()


@pytest.mark.parametrize("stop", ["cancel", "aclose"])
async def test_a_run_that_is_stopped_before_it_began_to_be_driven_ends_its_stream(stop: str, store: Meddled, tools: ToolRegistry) -> None:
    async with runner_on(store, tools, "done") as runner, runner_on(store, tools, "done") as other:
        types: list[str] = []
        async with asyncio.timeout(5):
            async for event in runner.run("go"):
                types.append(event.type)
                if event.type == "trace_started":
                    trace_id = event.data["trace_id"]
                    await (runner.cancel(trace_id) if stop == "cancel" else runner.aclose())
            rest = await collect(other.resume(trace_id))

    assert types == (["trace_started", "trace_cancelled"] if stop == "cancel" else ["trace_started"])
    assert types_of(rest)[-1:] == ([] if stop == "cancel" else ["trace_completed"])


async def test_readers_of_a_run_whose_task_was_stopped_before_it_began_are_let_go(store: Meddled, tools: ToolRegistry) -> None:
    async with runner_on(store, tools, "done") as runner:
        before = asyncio.all_tasks()
        stream = runner.run("go")
        (first,) = await read_until(stream, "trace_started")
        for task in asyncio.all_tasks() - before:  # as asyncio.run does when its own function ends
            task.cancel()
        rest = await collect(stream, timeout_s=5)
        resumed = await collect(runner.resume(first.data["trace_id"]))

    assert rest == []
    assert types_of(resumed)[-1] == "trace_completed"


@pytest.mark.parametrize("by", ["the same runner", "another runner"])
def test_a_run_whose_event_loop_was_closed_under_it_is_taken_up_in_the_next_one(by: str, store: Meddled, tools: ToolRegistry) -> None:
    async def wait_for_ever(messages: Any) -> str:
        await asyncio.Event().wait()
        return "never"

    async def begin(runner: AgentRunner) -> tuple[Any, str]:
        stream = runner.run("go")
        return stream, (await read_until(stream, "step_started"))[-1].data["trace_id"]

    async def go_on(runner: AgentRunner, trace_id: str) -> list[str]:
        runner = runner_on(store, tools) if by == "another runner" else runner
        runner.llm_call = ScriptedLLM(["done"])
        events = await collect(runner.resume(trace_id), timeout_s=5)
        await runner.aclose()
        return types_of(events)

    runner = runner_on(store, tools, wait_for_ever)
    loop = asyncio.new_event_loop()
    stream, trace_id = loop.run_until_complete(begin(runner))
    left = asyncio.all_tasks(loop)
    loop.close()

    assert asyncio.run(go_on(runner, trace_id))[-1] == "trace_completed"
    assert stream is not None
    assert left, "they were never stopped"
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # this is the fault that the test is about
        task.get_coro().close()


@pytest.mark.parametrize("act", ["run", "resume"])
async def test_a_reader_that_goes_away_while_a_run_is_recorded_or_claimed_leaves_no_run_without_a_driver(act: str, tools: ToolRegistry) -> None:
    store = Slow()
    async with runner_on(store, tools, "done") as runner:
        if act == "resume":
            store.gate.set()
            await runner.pause((await read_until(runner.run("go"), "trace_started"))[-1].data["trace_id"])
            store.gate.clear()
            store.reached.clear()
        stream = runner.run("go") if act == "run" else runner.resume((await store.list_traces())[0].trace_id)
        reader = asyncio.ensure_future(collect(stream))
        await store.reached.wait()
        reader.cancel()
        await asyncio.wait((reader,))
        store.gate.set()
        (trace,) = await store.list_traces()
        events = await collect(runner.watch(trace.trace_id), timeout_s=5)

    assert reader.cancelled()
    assert types_of(events)[-1] == "trace_completed"
