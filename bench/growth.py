"""Growth: what a run costs as it gets longer. Each claim has an assert.

    python bench/growth.py [folder]

Disk at three lengths and its exponent, CPU per step at 1000 over 50 with and without a store, and what must not depend on the
length: the last 50 steps, one step, one feedback.
"""

import asyncio
import math
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
os.environ["BENCH_MIXED"] = "1"  # results from half of 1 KB to one and a half

import sqlite3

from common import FINAL, SYSTEM, TASK, Script, say, unique_bytes

import agent

LENGTHS = (250, 1000, 4000)
ROUNDS = 5


def cpu_s() -> float:
    """Return the CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def runner_of(store: Any, script: Script) -> agent.AgentRunner:
    """Return a runner whose model asks for `work` until the script ends."""
    tools = agent.ToolRegistry()

    @tools.tool(effect="idempotent")
    async def work(i: int) -> str:
        """Do part i of the work."""
        return str(await script.atool(i))

    async def model(messages: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        last = messages[-1]
        step = int(last["tool_call_id"].split("-")[1]) + 1 if last["role"] == "tool" else 1
        asked = script.decide(step)
        if asked is None:
            return {"content": FINAL, "tool_calls": None, "prompt_tokens": 10, "completion_tokens": 5}
        calls = [{"id": f"c-{step}-{i}", "function": {"name": "work", "arguments": f'{{"i": {i}}}'}} for i in asked]
        return {"content": say(step), "tool_calls": calls, "prompt_tokens": 10, "completion_tokens": 5}

    return agent.AgentRunner(store.traces if store else None, store.memories if store else None, tool_registry=tools, llm_call=model)


async def run(runner: agent.AgentRunner, script: Script, steps: int) -> tuple[str, float]:
    """Run a script of so many steps; return the trace id and the CPU seconds per step."""
    script.steps, began = steps, cpu_s()
    trace_id = ""
    async for event in runner.run(TASK, system_prompt=SYSTEM, model="fake", tools=["work"], max_iterations=10**7, enable_memory=False):
        trace_id = event.data["trace_id"]
    return trace_id, (cpu_s() - began) / steps


async def disk(folder: Path) -> None:
    """Print bytes on disk over unique bytes, and the exponent between the lengths."""
    sizes: list[int] = []
    for steps in LENGTHS:
        path, script = folder / f"disk{steps}.db", Script(3, 1024)
        async with agent.open_store(f"sqlite:///{path}") as store:
            await run(runner_of(store, script), script, steps)
        sizes.append(path.stat().st_size)
        print(f"disk of {steps:5d} steps: {sizes[-1] / unique_bytes(steps, 1024):.2f} x unique bytes")
    exponent = math.log(sizes[-1] / sizes[0]) / math.log(LENGTHS[-1] / LENGTHS[0])
    print(f"exponent {exponent:.3f}")
    assert abs(exponent - 1) <= 0.05, exponent


async def cpu(folder: Path) -> None:
    """Print CPU per step at 1000 over 50."""
    for name in ("no store", "sqlite"):
        figures: dict[int, list[float]] = {50: [], 1000: []}
        for number in range(ROUNDS):
            for steps, found in figures.items():
                script = Script(3, 1024)
                store = await agent.open_store(f"sqlite:///{folder / f'cpu{number}-{steps}.db'}") if name == "sqlite" else None
                runner = runner_of(store, script)
                await run(runner, script, 10)  # the first run pays one-off costs
                found.append((await run(runner, script, steps))[1])
                if store:
                    await store.close()
        ratio = statistics.median(figures[1000]) / statistics.median(figures[50])
        print(f"CPU per step at 1000 / at 50, {name}: {ratio:.2f}")
        assert ratio <= 1.2, ratio


async def flat(folder: Path) -> None:
    """Print what reading the end of a run costs in a long one over a short one."""
    async with agent.open_store(f"sqlite:///{folder / 'flat.db'}") as store:
        script = Script(3, 1024)
        runner = runner_of(store, script)
        short, _ = await run(runner, script, 100)
        long, _ = await run(runner, script, 4000)

        async def measured(call: Callable[[str], Awaitable[Any]], trace_id: str) -> float:
            took: list[float] = []
            for _ in range(40):
                began = time.perf_counter()
                await call(trace_id)
                took.append(time.perf_counter() - began)
            return statistics.median(took)

        async def last_50(trace_id: str) -> None:
            head = await store.traces.head(trace_id)
            await store.traces.get_steps(trace_id, after=head.next_sequence - 51, limit=50)

        async def one_step(trace_id: str) -> None:
            await store.traces.get_step(trace_id, f"{trace_id}/150")

        async def feedback(trace_id: str) -> None:
            await runner.add_feedback(trace_id, f"{trace_id}/150", "positive", "good")

        for name, call in (("last 50 steps", last_50), ("one step", one_step), ("one feedback", feedback)):
            ratio = await measured(call, long) / await measured(call, short)
            print(f"{name}: in a run of 4000 / of 100: {ratio:.2f}")
            assert ratio <= 1.5, (name, ratio)


async def main() -> None:
    """Measure in a fresh folder."""
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        await disk(Path(name))
        await cpu(Path(name))
        await flat(Path(name))


if __name__ == "__main__":
    asyncio.run(main())
