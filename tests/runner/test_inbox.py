"""What waits is found in the end of a run's log, and is what the whole log says."""

from typing import Any

import pytest
from tests.runner.conftest import Make

from agent.testing.scripted import asks, tool_request

LONG = 30  # model calls before the one whose calls wait


async def waiting_run(make: Make, calls: int = LONG, more: tuple[Any, ...] = ()) -> tuple[Any, str]:
    looks = [asks(tool_request("look", {"where": str(n)})) for n in range(calls)]
    runner = make(*looks, asks(tool_request("pay", {"to": "ann"}), tool_request("pay", {"to": "bob"}), *more), "done", config={"max_iterations": calls + 5})
    trace_id = ""
    async for event in runner.run("pay", tools=["look", "pay", "slow_pay"]):
        trace_id = event.data["trace_id"]
    return runner, trace_id


@pytest.mark.parametrize("act", ["nothing", "approve", "partly done", "in doubt", "cancel", "pause", "raised limits", "fork"])
async def test_the_inbox_is_the_same_whether_all_of_the_log_is_read_or_its_end(make: Make, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    runner, trace_id = await waiting_run(make, more=(tool_request("slow_pay"),) if act in ("in doubt", "cancel") else ())
    first = (await runner.pending(trace_id=trace_id))[0]
    if act in ("approve", "partly done"):
        await runner.decide(trace_id, first.call_id, "approve")
    if act in ("partly done", "raised limits"):
        async for _ in runner.resume(trace_id, limits={"max_iterations": 99} if act == "raised limits" else None):
            pass
    if act == "cancel":
        await runner.cancel(trace_id)
    if act == "pause":
        await runner.pause(trace_id)
    if act == "fork":
        trace_id = await runner.fork(trace_id, (await runner.trace_store.head(trace_id)).next_sequence - 1)

    found = {tail: await pending_with(runner, trace_id, tail, monkeypatch) for tail in (1, 3, 16, 10_000)}

    assert found[1] == found[3] == found[16] == found[10_000]
    assert len(found[1]) == {"approve": 1, "partly done": 1, "in doubt": 3, "cancel": 1}.get(act, 2)


async def pending_with(runner: Any, trace_id: str, tail: int, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr("agent.engine.approvals.TAIL", tail)
    one = await runner.pending(trace_id=trace_id)
    assert [item for item in await runner.pending() if item.trace_id == trace_id] == one
    return list(one)
