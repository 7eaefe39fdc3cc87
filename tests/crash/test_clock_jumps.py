"""The wall clock of a real process jumps by an hour, or a year, while runs are driven, approvals wait and leases are held."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import disks  # type: ignore[import-not-found]  # it lies beside this file

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(120),
    pytest.mark.skipif(disks.COMPILER is None, reason="needs a C compiler, to move the clock of a process"),
]
HOUR, YEAR = 3_600, 365 * 24 * 3_600
PROGRAM = """
import asyncio, ctypes, sys
from datetime import datetime, UTC
from pathlib import Path

import agent
from agent.errors import ApprovalExpired
from agent.testing.listening import collect, read_until
from agent.testing.scripted import ScriptedLLM, asks, tool_request

folder, jump, case = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
clock_jump = ctypes.CDLL(None).clock_jump
paid, go = [], asyncio.Event()
registry = agent.ToolRegistry()


@registry.tool(effect="unsafe")
async def pay(n: int) -> str:
    "Pay, while the clock jumps."
    clock_jump(jump)
    paid.append(n)
    return "paid"


@registry.tool(effect="unsafe")
async def pay_slowly(n: int) -> str:
    "Pay when told."
    paid.append(n)
    await go.wait()
    return "paid"


@registry.tool(effect="unsafe", requires_confirmation=True, expires=600)
async def send(n: int) -> str:
    "Send when a person says so in time."
    paid.append(n)
    return "sent"


def runner_of(store, *calls):
    return agent.AgentRunner(store.traces, tool_registry=registry, state_store=store.states, llm_call=ScriptedLLM([*(asks(call) for call in calls), "done"]))


async def running(store):
    async with runner_of(store, tool_request("pay", {"n": 1}), tool_request("pay", {"n": 2})) as runner:
        events = await collect(runner.run("work", tools=["pay"]))
        later = await collect(runner.run("more work", tools=["pay"]))
    assert (events[-1].type, later[-1].type) == ("trace_completed", "trace_completed")
    assert paid == [1, 2, 1, 2]
    traces = await store.traces.list_traces()
    assert [trace.task for trace in traces] == ["more work", "work"]
    assert traces[0].trace_id > traces[1].trace_id, "ids ascend whatever the clock does"
    for trace in traces:
        steps = await store.traces.read_steps(trace.trace_id)
        assert [step.sequence for step in steps] == list(range(len(steps)))
        assert all(0 <= step.data.get("took_s", 0.0) < 60 for step in steps), "durations are not told by the wall clock"
        await store.traces.verify(trace.trace_id)


async def approving(store):
    async with runner_of(store, tool_request("send", {"n": 1})) as runner:
        await collect(runner.run("ask", tools=["send"]))
        (item,) = await runner.pending()
        clock_jump(jump)
        try:
            await runner.decide(item.trace_id, item.call_id, "approve", by="me")
            has_expired = False
        except ApprovalExpired:
            has_expired = True
        events = await collect(runner.resume(item.trace_id))
    assert has_expired == (jump > 600)
    assert paid == ([] if has_expired else [1]), "it fails closed"
    assert events[-1].type == "trace_completed"
    await store.traces.verify(item.trace_id)


async def leasing(store):
    other = await agent.open_store(f"sqlite:///{folder / 'runs.db'}")
    async with runner_of(store, tool_request("pay_slowly", {"n": 1})) as owner, runner_of(other, tool_request("pay_slowly", {"n": 1})) as second:
        stream = owner.run("work", tools=["pay_slowly"])
        told = await read_until(stream, "tool_executing")
        trace_id = told[0].data["trace_id"]
        clock_jump(jump)
        watching = asyncio.create_task(collect(second.resume(trace_id)))
        done, _ = await asyncio.wait((watching,), timeout=1.5)
        go.set()
        rest = await collect(stream)
        events = await watching
        for item in await second.pending(trace_id=trace_id):
            assert item.reason == "in_doubt"
            await second.resolve(trace_id, item.call_id, "done", result="paid", by="me")
            events = await collect(second.resume(trace_id))
        steps = await other.traces.read_steps(trace_id)
    assert paid == [1], "an unsafe call is never made twice, whoever believes to own the run"
    assert (await other.traces.get_trace(trace_id)).status == "completed"
    assert [step.sequence for step in steps] == list(range(len(steps)))
    await other.traces.verify(trace_id)
    await other.close()


async def keeping(store):
    await store.states.set("short", 1, ttl_s=600)
    await store.states.set("long", 1)
    clock_jump(jump)
    assert await store.states.get("short") == (None if jump > 600 else 1)
    assert await store.states.get("long") == 1
    assert await store.traces.prune(before=datetime.now(UTC)) == []


async def main():
    async with agent.open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        await {"running": running, "approving": approving, "leasing": leasing, "keeping": keeping}[case](store)
    print("fine")


asyncio.run(main())
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiled: Path = disks.shim(tmp_path_factory.mktemp("shim"))
    return compiled


@pytest.mark.parametrize("jump", [HOUR, -HOUR, YEAR], ids=["an hour on", "an hour back", "a year on"])
@pytest.mark.parametrize("case", ["running", "approving", "leasing", "keeping"])
def test_a_jump_of_the_clock_repeats_loses_and_lets_through_nothing(library: Path, tmp_path: Path, case: str, jump: int) -> None:
    (tmp_path / "disk").mkdir()
    done = disks.play(library, PROGRAM, tmp_path / "disk", str(jump), case)

    assert done.stdout == "fine\n", done.stderr
