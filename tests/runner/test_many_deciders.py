"""A hundred people decide about one call at the same time, in tasks, threads and processes: one wins, all others are told."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from agent import AgentRunner, AlreadyDecided, open_store
from agent.events import AgentEvent
from agent.models.approval import Approval
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

PAY = tool_request("pay", {"to": "ann"})


async def run(runner: Any) -> list[AgentEvent]:
    return [event async for event in runner.run("pay", tools=["pay"])]


async def resume(runner: Any, trace_id: str) -> list[AgentEvent]:
    return [event async for event in runner.resume(trace_id)]


DECIDER = """
import asyncio, json, sys
import agent

async def main(path, trace_id, call_id, many, who):
    async with agent.open_store(f"sqlite:///{path}") as store, agent.AgentRunner(store.traces) as runner:
        print("ready", flush=True)
        sys.stdin.readline()
        async def decide(number):
            verdict = "approve" if number % 2 else "reject"
            try:
                return (await runner.decide(trace_id, call_id, verdict, by=f"{who}-{number}")).decided_by
            except agent.AlreadyDecided as error:
                return [error.decision.by]
        print(json.dumps(await asyncio.gather(*(decide(number) for number in range(many)))))

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
"""


def one_won(said: list[Any]) -> str:
    """Return who won, where one did and all others were told of it."""
    winners = [by for by in said if isinstance(by, str)]
    assert len(winners) == 1
    assert [by for by in said if by != winners[0]] == [[winners[0]]] * (len(said) - 1)
    return winners[0]


async def waiting(path: Path, tools: ToolRegistry) -> Approval:
    async with open_store(f"sqlite:///{path}") as store:
        runner = AgentRunner(store.traces, tool_registry=tools, llm_call=ScriptedLLM([asks(PAY), "done"]))
        await run(runner)
        (item,) = await runner.pending()
        return item


async def go_on(path: Path, tools: ToolRegistry, trace_id: str) -> AgentEvent:
    async with open_store(f"sqlite:///{path}") as store:
        return (await resume(AgentRunner(store.traces, tool_registry=tools, llm_call=ScriptedLLM([asks(PAY), "done"])), trace_id))[-1]


def decide_in_processes(path: Path, item: Approval) -> list[Any]:
    words = [sys.executable, "-c", DECIDER, str(path), item.trace_id, item.call_id, "25"]
    processes = [subprocess.Popen([*words, f"p{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for n in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [by for process in processes for by in json.loads(process.communicate(timeout=60)[0])]


async def test_of_a_hundred_decisions_in_four_processes_one_wins(tmp_path: Path, tools: ToolRegistry, done: list[str]) -> None:
    path = tmp_path / "runs.db"
    item = await waiting(path, tools)
    said = decide_in_processes(path, item)

    winner = one_won(said)

    assert len(said) == 100
    assert (await go_on(path, tools, item.trace_id)).type == "trace_completed"
    assert done == (["pay ann"] if int(winner.rpartition("-")[2]) % 2 else [])


async def test_of_a_hundred_decisions_in_ten_threads_one_wins(tmp_path: Path, tools: ToolRegistry, done: list[str]) -> None:
    path = tmp_path / "runs.db"
    item = await waiting(path, tools)
    barrier, said = threading.Barrier(10), list[Any]()

    def decide_ten(thread: int) -> None:
        async def decide(number: int, runner: AgentRunner) -> None:
            try:
                said.append((await runner.decide(item.trace_id, item.call_id, "approve", by=f"t{thread}-{number}")).decided_by)
            except AlreadyDecided as error:
                said.append([error.decision.by])

        async def all_of_them() -> None:
            async with open_store(f"sqlite:///{path}") as store, AgentRunner(store.traces) as runner:
                await asyncio.to_thread(barrier.wait, 30)
                await asyncio.gather(*(decide(number, runner) for number in range(10)))

        asyncio.run(all_of_them())

    threads = [threading.Thread(target=decide_ten, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join, 60)

    one_won(said)

    assert len(said) == 100
    assert (await go_on(path, tools, item.trace_id)).type == "trace_completed"
    assert done == ["pay ann"]
