"""A worker that was stopped, taken over and woken again writes nothing more, and says nothing wrong to its reader."""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from agent.assemble import open_store
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.testing.crash import Journal, KillPoints
from agent.testing.listening import collect, read_until, types_of

sys.path.insert(0, str(Path(__file__).parent))

import driven  # type: ignore[import-not-found]  # it lies beside this file

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
PROCESSES = multiprocessing.get_context("forkserver")


@pytest.fixture
def worker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ForkServerProcess]:
    """A process that drives a run with one tool call, which waits for a file."""
    process = PROCESSES.Process(target=driven.live, args=(str(tmp_path), request.param, None), kwargs={"is_first": True})
    process.start()
    yield process
    if process.is_alive():
        process.kill()
        process.join(10)
    process.close()


async def take_over(folder: Path, script: str, worker: ForkServerProcess) -> tuple[list[str], list[Step]]:
    """Stop the worker in its tool, go on with its run here, and return what was told and written."""
    journal = Journal(folder / "journal")
    model = driven.Model([driven.asks(driven.tool_request(script, {"n": 1})), "done"], journal, KillPoints())
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        while not (traces := await store.traces.list_traces()):
            pass
        trace_id = traces[0].trace_id
        tools = driven.tools_of(journal, KillPoints(), folder)
        async with AgentRunner(store.traces, None, store.states, tools, model, driven.CONFIG) as runner:
            await read_until(runner.watch(trace_id), "tool_executing")
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGSTOP)
            events = await collect(runner.resume(trace_id, take_over=True))
        return types_of(events), await store.traces.read_steps(trace_id)


async def wake(folder: Path, worker: ForkServerProcess) -> tuple[list[str], list[Step], str]:
    """Let the worker go on to its end; return what its reader was told, what is written now, and the run's status."""
    assert worker.pid is not None
    (folder / "go").touch()
    os.kill(worker.pid, signal.SIGCONT)
    worker.join(60)
    assert worker.exitcode == 0
    told: list[str] = json.loads((folder / f"events-{worker.pid}.json").read_text())
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        (trace,) = await store.traces.list_traces()
        await store.traces.verify(trace.trace_id)
        return told, await store.traces.read_steps(trace.trace_id), trace.status


@pytest.mark.parametrize("worker", ["look_slowly"], indirect=True)
async def test_a_woken_worker_adds_nothing_to_a_run_that_another_one_finished(worker: ForkServerProcess, tmp_path: Path) -> None:
    told, steps = await take_over(tmp_path, "look_slowly", worker)
    told_there, steps_after, status = await wake(tmp_path, worker)

    assert told[-1] == "trace_completed"
    assert steps_after == steps
    assert status == "completed"
    assert told_there[-1] == "trace_completed", "the reader over there is told how it ended"
    assert [step.epoch for step in steps] == [1, 1, 1, *[2] * (len(steps) - 3)]


@pytest.mark.parametrize("worker", ["pay_slowly"], indirect=True)
async def test_an_unsafe_call_of_a_stopped_worker_is_in_doubt_and_not_made_twice(worker: ForkServerProcess, tmp_path: Path) -> None:
    told, steps = await take_over(tmp_path, "pay_slowly", worker)
    _, steps_after, status = await wake(tmp_path, worker)
    effects = [words for words in Journal(tmp_path / "journal").lines() if words[0] == "effect"]

    assert told[-2:] == ["awaiting_user_action", "trace_waiting"]
    assert [step.step_type for step in steps][-1] == "in_doubt"
    assert steps_after == steps
    assert status == "waiting"
    assert len(effects) == 1, "made by the worker when it woke: that is what the doubt was about"


@pytest.mark.parametrize("worker", ["pay_slowly"], indirect=True)
async def test_resuming_the_run_of_a_living_worker_only_watches(worker: ForkServerProcess, tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        while not (traces := await store.traces.list_traces()):
            pass
        async with AgentRunner(store.traces, llm_call=driven.ScriptedLLM(["unused"])) as runner:
            await read_until(runner.watch(traces[0].trace_id), "tool_executing")
            (tmp_path / "go").touch()
            events = await collect(runner.resume(traces[0].trace_id))
    worker.join(60)

    assert types_of(events) == ["tool_result", "llm_call_completed", "conclusion", "trace_completed"]


@pytest.mark.parametrize("worker", ["pay_slowly"], indirect=True)
async def test_a_pause_and_a_cancel_from_another_process_are_obeyed(worker: ForkServerProcess, tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        while not (traces := await store.traces.list_traces()):
            pass
        trace_id = traces[0].trace_id
        async with AgentRunner(store.traces, llm_call=driven.ScriptedLLM(["unused"])) as runner:
            await read_until(runner.watch(trace_id), "tool_executing")
            await runner.pause(trace_id, by="me")
            (tmp_path / "go").touch()
            events = await collect(runner.watch(trace_id))
            await runner.cancel(trace_id, by="me")
        steps = await store.traces.read_steps(trace_id)
    worker.join(60)

    assert types_of(events)[-1] == "trace_paused"
    assert [step.step_type for step in steps] == ["input", "llm_call", "tool_started", "paused", "tool_call", "cancelled"]


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("worker", ["pay_slowly"], indirect=True)
async def test_a_cancel_from_another_process_names_what_is_in_flight(is_killed: bool, worker: ForkServerProcess, tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        while not (traces := await store.traces.list_traces()):
            pass
        trace_id, worker_pid = traces[0].trace_id, worker.pid
        async with AgentRunner(store.traces, llm_call=driven.ScriptedLLM(["unused"])) as runner:
            await read_until(runner.watch(trace_id), "tool_executing")
            if is_killed:
                worker.kill()
                worker.join(60)
            await runner.cancel(trace_id, by="me")
            (item,) = await runner.pending(trace_id=trace_id)
            (tmp_path / "go").touch()
            worker.join(60)
            left = await runner.pending(trace_id=trace_id)
        steps = await store.traces.read_steps(trace_id)
        trace = await store.traces.get_trace(trace_id)
    (cancelled,) = (step for step in steps if step.step_type == "cancelled")

    assert trace is not None
    assert trace.status == "cancelled"
    assert cancelled.data == {"by": "me", "in_flight": ["1.0"]}
    assert (item.call_id, item.reason, item.arguments, item.attempt) == ("1.0", "in_doubt", {"n": 1}, 1)
    assert item.asked_at == next(step.created_at for step in steps if step.step_type == "tool_started")
    assert item.worker is not None
    assert item.worker.split("|")[2] == str(worker_pid)
    assert len(left) == (1 if is_killed else 0), "an owner that winds up knows better"
