"""The disk is full, or fails: nothing is shown that is not stored, no tool runs that was not announced, and the run goes on afterwards."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import disks  # type: ignore[import-not-found]  # it lies beside this file

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(240),
    pytest.mark.skipif(disks.COMPILER is None, reason="needs a C compiler, to have writes of a process refused"),
]
PROGRAM = """
import asyncio, ctypes, errno, json, sys
from pathlib import Path

import agent
from agent.testing.scripted import ScriptedLLM, asks, tool_request

root, plant = Path(sys.argv[1]), sys.argv[2]
disk_fail = ctypes.CDLL(None).disk_fail
TWO = asks(tool_request("look", {"n": 2}), tool_request("pay", {"n": 3}))
SCRIPT = [asks(tool_request("pay", {"n": 1})), TWO, asks(tool_request("look", {"n": 4})), "done"]


class Life:
    def __init__(self, folder):
        self.url = f"sqlite:///{folder / 'runs.db'}"
        self.told, self.effects, self.faults, self.errors = [], [], [], []
        self.tools = agent.ToolRegistry()

        @self.tools.tool(effect="unsafe")
        async def pay(ctx: agent.ToolContext, n: int) -> str:
            "Pay."
            self.effects.append(ctx.call_id)
            return "x" * 3000

        @self.tools.tool(effect="read")
        def look(n: int) -> str:
            "Look."
            return "y" * 3000

    async def read(self, events):
        try:
            async for event in events:
                if "sequence" in event.data:
                    self.told.append((event.data["trace_id"], event.data["sequence"], event.type))
        except agent.AgentError as error:
            self.errors.append(type(error).__name__)

    async def play(self, kind, first, count, code, is_same_runner):
        store = await agent.open_store(self.url)
        runner = agent.AgentRunner(store.traces, tool_registry=self.tools, llm_call=ScriptedLLM(SCRIPT))
        disk_fail(kind, first, count, code)
        await self.read(runner.run("work", tools=["pay", "look"]))
        if not is_same_runner:
            await runner.aclose()
            await store.close()
        disk_fail(0, 0, 0, 0)
        if not is_same_runner:
            store = await agent.open_store(self.url)
            runner = agent.AgentRunner(store.traces, tool_registry=self.tools, llm_call=ScriptedLLM(SCRIPT))
        await self.compare(store)
        await self.go_on(store, runner)
        await self.compare(store)
        await runner.aclose()
        await store.close()

    async def compare(self, store):
        there = {(trace.trace_id, step.sequence) for trace in await store.traces.list_traces() for step in await store.traces.read_steps(trace.trace_id)}
        self.faults += [f"{event} was shown, and is not on the record" for event in self.told if event[:2] not in there]

    async def go_on(self, store, runner):
        traces = await store.traces.list_traces()
        if not traces:
            return
        trace_id = traces[0].trace_id
        for _ in range(8):
            if (await store.traces.get_trace(trace_id)).status == "completed":
                break
            for item in await runner.pending(trace_id=trace_id):
                outcome = "done" if item.call_id in self.effects else "retry"
                await runner.resolve(trace_id, item.call_id, outcome, result="x", by="me")
            await self.read(runner.resume(trace_id))
        steps = await store.traces.read_steps(trace_id)
        announced = {step.data["call_id"] for step in steps if step.step_type == "tool_started"}
        self.faults += [f"{call} was run, and is not announced" for call in self.effects if call not in announced]
        self.faults += [f"{call} was run twice" for call in set(self.effects) if self.effects.count(call) > 1]
        if len(set(self.effects)) != 2:
            self.faults.append(f"effects: {self.effects}")
        status = (await store.traces.get_trace(trace_id)).status
        if status != "completed":
            self.faults.append(f"the run ended {status} after {self.errors}")
        await store.traces.verify(trace_id)


async def main():
    if plant == "shown first":
        from agent.engine import driver
        append = driver.Driver.append

        async def show_first(self, build, **options):
            draft = driver.Draft(self.trace.trace_id, self.epoch, self.state)
            build(draft)
            self.feed.publish(*[event for told in draft.told for event in driver.tell(*told)])
            await append(self, build, **options)

        driver.Driver.append = show_first
    number = failed = 0
    for kind in (1, 2):
        for code in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            for first in range(0, 40 if kind == 1 else 14, 2 if code == errno.ENOSPC else 5):
                for count in (1, 100_000):
                    number += 1
                    folder = root / str(number)
                    folder.mkdir()
                    life = Life(folder)
                    try:
                        await asyncio.wait_for(life.play(kind, first, count, code, number % 2), 30)
                    except Exception as error:
                        life.faults.append(f"{type(error).__name__}: {error}")
                    failed += bool(life.errors)
                    if life.faults:
                        print(json.dumps({"case": [kind, first, count, errno.errorcode[code], number % 2], "faults": life.faults, "errors": life.errors}))
    print(json.dumps({"tried": number, "failed": failed}))

asyncio.run(main())
"""


def played(folder: Path, plant: str) -> tuple[list[dict[str, object]], dict[str, int]]:
    library = disks.shim(folder)
    (folder / "disk").mkdir()
    done = disks.play(library, PROGRAM, folder / "disk", plant)
    assert done.returncode == 0, done.stderr
    *faults, total = [json.loads(line) for line in done.stdout.splitlines()]
    return faults, total


def test_a_disk_that_is_full_or_fails_at_any_write_costs_nothing_that_was_shown(tmp_path: Path) -> None:
    faults, total = played(tmp_path, "nothing")

    assert faults == []
    assert total["tried"] >= 90
    assert total["failed"] >= 60, "most of them hit the run"


def test_showing_what_is_not_stored_yet_is_found(tmp_path: Path) -> None:
    faults, _ = played(tmp_path, "shown first")

    assert any("is not on the record" in str(fault) for fault in faults)
