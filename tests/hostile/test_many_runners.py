"""Several runners on one file, all at the same runs: one of them wins each race, and the record says which."""

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from tests.hostile.processes import TOOLS, Process, SharedRam, World

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.errors import AgentError
from agent.runner import AgentRunner
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

COUNT = 12
CONFIG = AgentConfig(cancel_grace_s=0.05, control_interval_s=0.002)


def paying(paid: Counter[str]) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="unsafe", requires_confirmation=True)
    async def pay(ctx: ToolContext, to: str) -> str:
        "Pay."
        paid[ctx.trace_id] += 1
        await asyncio.sleep(0)
        return f"paid {to}"

    return registry


def runner_on(store: Any, paid: Counter[str]) -> AgentRunner:
    return AgentRunner(store.traces, tool_registry=paying(paid), llm_call=ScriptedLLM([asks(tool_request("pay", {"to": "ada"})), "done"]), config=CONFIG)


class Race:
    """A file with runs that wait for a person, and workers with stores and event loops of their own."""

    def __init__(self, url: str) -> None:
        self.url, self.paid, self.refusals = url, Counter[str](), list[str]()

    async def begin(self) -> list[tuple[str, str]]:
        async with open_store(self.url) as store, runner_on(store, self.paid) as runner:
            for _ in range(COUNT):
                await collect(runner.run("go", tools=["pay"], enable_memory=False))
            return [(item.trace_id, item.call_id) for item in await runner.pending()]

    def work(self, what: str, items: list[tuple[str, str]], start: threading.Barrier) -> None:
        async def work() -> None:
            async with open_store(self.url) as store, runner_on(store, self.paid) as runner:
                start.wait()
                for trace_id, call_id in items:
                    try:
                        await act(runner, what, trace_id, call_id)
                    except AgentError as refusal:
                        self.refusals.append(str(refusal))

        asyncio.run(work())

    async def look(self, trace_id: str) -> tuple[str, int, list[str]]:
        """Return the status, how often it paid and the verdicts of a run that is brought to its end: what was paused, or left when a worker ended."""
        async with open_store(self.url) as store, runner_on(store, self.paid) as runner:
            await collect(runner.resume(trace_id))
            trace, steps = await store.traces.get_trace(trace_id), await store.traces.read_steps(trace_id)
            await store.traces.verify(trace_id)
            assert (await runner.replay(trace_id)).identical
            assert trace is not None
            return trace.status, self.paid[trace_id], [step.data["verdict"] for step in steps if step.step_type == "approval_decided"]


async def act(runner: AgentRunner, what: str, trace_id: str, call_id: str) -> None:
    if what in ("approve", "reject"):
        await runner.decide(trace_id, call_id, what, by=what)  # type: ignore[arg-type]  # two of the verdicts
    elif what in ("cancel", "pause"):
        await getattr(runner, what)(trace_id, by=what)
    await collect(runner.resume(trace_id))


def test_runners_that_approve_reject_cancel_pause_and_resume_the_same_runs_at_once_agree_on_what_happened(tmp_path: Path) -> None:
    race = Race(f"sqlite:///{tmp_path / 'runs.db'}")
    items = asyncio.run(race.begin())
    actions = ("approve", "reject", "cancel", "approve", "pause", "resume")
    start = threading.Barrier(len(actions))
    threads = [threading.Thread(target=race.work, args=(what, items, start)) for what in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    outcomes = [asyncio.run(race.look(trace_id)) for trace_id, _ in items]

    assert len(outcomes) == COUNT
    for status, payments, verdicts in outcomes:
        assert len(verdicts) <= 1
        assert payments <= (verdicts == ["approve"])
        assert status == "cancelled" or (status, payments) == ("completed", int(verdicts == ["approve"])), (status, payments, verdicts)
    assert all(race.refusals)


def test_an_owner_that_was_thought_dead_tells_late_what_became_of_a_cancelled_call(tmp_path: Path) -> None:
    for path in (None, tmp_path / "runs.db"):
        world = World()
        world.scripts["go"] = [[("pay", "ok"), ("pay", "ok")]]
        first = Process(world, path)
        second = Process(world, path, first.traces if isinstance(first.traces, SharedRam) else None)
        first.read(first.runner.run("go", tools=TOOLS, enable_memory=False))
        first.settle()
        first.gates.let_on(0)  # the model
        first.settle()
        first.stop()
        (trace,) = second.do(second.traces.list_traces())
        second.do(second.runner.cancel(trace.trace_id, by="ada"))
        doubts = [item.reason for item in second.do(second.runner.pending())]
        first.wake()
        first.gates.let_on(0)
        first.gates.let_on(0)
        first.settle()
        left = second.do(second.runner.pending())
        replayed = second.do(second.runner.replay(trace.trace_id))
        status = second.do(second.traces.get_trace(trace.trace_id)).status
        for process in (first, second):
            process.close()

        assert doubts == ["in_doubt", "in_doubt"]
        assert left == []
        assert (status, replayed.identical) == ("cancelled", True)
        assert list(world.controls.values()) == [1, 1]
