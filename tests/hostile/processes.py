"""Processes in one process: each has an event loop, a store and a runner of its own, and may be stopped at any turn of its loop.

A stopped one counts as dead for the others (its owner is gone), and may be woken again, as SIGSTOP and SIGCONT do it.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from agent.config import AgentConfig
from agent.errors import ModelUnavailable
from agent.events import AgentEvent
from agent.models.value import replace
from agent.runner import AgentRunner
from agent.storage import liveness
from agent.storage.protocols import TraceHead
from agent.storage.ram.traces import RamTraceStore
from agent.storage.sqlite.store import SqliteStore
from agent.testing.scripted import asks, says, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

TOOLS = ["look", "put", "pay", "ask", "late"]
UNSAFE = frozenset({"pay", "ask", "late"})
BOUND_S = 20.0


class SharedRam(RamTraceStore):
    """A store in memory as one of several processes sees it: the records are the same, the owner is its own."""

    def __init__(self, other: "SharedRam | None" = None) -> None:
        self._numbers: list[int] = other._numbers if other is not None else [0]
        super().__init__()
        if other is not None:
            self._records, self._blobs, self._log = other._records, other._blobs, other._log

    @property
    def _count(self) -> int:  # one count for all
        return self._numbers[-1]

    @_count.setter
    def _count(self, number: int) -> None:
        self._numbers.append(max(number, self._numbers[-1]))

    async def head(self, trace_id: str) -> TraceHead:
        head = await super().head(trace_id)
        return replace(head, owner_is_alive=head.owner in liveness._open)


class Gates:
    """Where models and tools wait until they are let on, in the order in which they came."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, asyncio.Event]] = []

    async def wait(self, name: str) -> None:
        entry = (name, asyncio.Event())
        self.waiting.append(entry)
        try:
            await entry[1].wait()
        finally:
            if entry in self.waiting:
                self.waiting.remove(entry)

    def let_on(self, number: int) -> None:
        if self.waiting:
            self.waiting.pop(number % len(self.waiting))[1].set()


class World:
    """What really happened, whatever the log says."""

    def __init__(self) -> None:
        self.controls: Counter[tuple[str, str]] = Counter()  # how often a call's tool got control, by (trace, call)
        self.unsafe: set[tuple[str, str]] = set()
        self.keys: dict[tuple[str, str], set[str]] = {}
        self.unannounced: list[str] = []
        self.tried: Counter[str] = Counter()
        self.scripts: dict[str, list[list[tuple[str, str]]]] = {}  # task → turns → (tool, fate)


class Process:
    """One process: `do` works its loop until something is done, `settle` until nothing happens any more."""

    def __init__(self, world: World, path: Path | None, ram: SharedRam | None = None) -> None:
        self.world, self.loop, self.gates = world, asyncio.new_event_loop(), Gates()
        self.is_stopped = False
        self.seen: list[AgentEvent] = []
        self.raised: list[BaseException] = []
        self.readers: set[asyncio.Task[None]] = set()
        self.database: SqliteStore | None = self.loop.run_until_complete(SqliteStore.open(path)) if path is not None else None
        self.traces: Any = self.database.traces if self.database is not None else SharedRam(ram)
        config = AgentConfig(cancel_grace_s=0.0, control_interval_s=0.001, follow_interval_s=0.001, max_iterations=12)
        self.runner = AgentRunner(self.traces, tool_registry=self._tools(), llm_call=self._model, config=config)

    # ---- the loop

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what `work` returns."""
        return self.loop.run_until_complete(asyncio.wait_for(work, BOUND_S))

    def turn(self, times: int) -> None:
        """Let the loop turn so often, no further."""
        for _ in range(times):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def settle(self) -> None:
        """Work until nothing has happened for some turns."""
        before: Any = None
        quiet = 0
        while quiet < 3:
            self.loop.run_until_complete(asyncio.sleep(0.002 if self.database is not None else 0.0012))
            self.turn(3)
            is_writing = self.database is not None and self.database.database.writer.pending > 0
            now = (len(self.gates.waiting), len(self.seen), len(self.readers), sorted(d.state.next_sequence for d in self.drivers))
            quiet = quiet + 1 if now == before and not is_writing else 0
            before = now

    @property
    def drivers(self) -> list[Any]:
        return list(self.runner._engine.drivers.values())

    def read(self, stream: Any) -> None:
        """Read a stream to its end, in the background."""

        async def reading() -> None:
            try:
                async for event in stream:
                    self.seen.append(event)
            except Exception as error:  # noqa: BLE001  # it is looked at afterwards
                self.raised.append(error)

        task = self.loop.create_task(reading())
        self.readers.add(task)
        task.add_done_callback(self.readers.discard)

    def stop(self) -> None:
        """Die, as far as anybody can see."""
        self.is_stopped = True
        liveness.release(self.traces.owner)

    def wake(self) -> None:
        """Go on where it was stopped, though others may have taken its runs over."""
        self.is_stopped = False
        liveness._open[self.traces.owner] = {}

    def close(self) -> None:
        """Let go of everything, also of what was left behind by a stop."""
        for _, gate in list(self.gates.waiting):
            gate.set()
        self.do(self.runner.aclose())
        for task in self.readers:
            task.cancel()
        self.settle()
        if self.database is not None:
            self.do(self.database.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    # ---- the model and the tools

    async def _model(self, messages: Sequence[dict[str, Any]], model: str, tools: Any = None, **_: Any) -> dict[str, Any]:
        task = next(m["content"] for m in messages if m["role"] == "user")
        await self.gates.wait("model")
        turns = self.world.scripts.get(task, [])
        number = sum(m["role"] == "assistant" for m in messages)
        if number >= len(turns) or tools is None:
            return says("done")
        place = f"{task} {number}"
        self.world.tried[place] += 1
        if any(fate == "model fails" for _, fate in turns[number]) and self.world.tried[place] == 1:
            raise ModelUnavailable("overloaded")
        return asks(*[tool_request(tool, {"n": n, "fate": fate}) for n, (tool, fate) in enumerate(turns[number])])

    def _tools(self) -> ToolRegistry:
        registry = ToolRegistry()

        def make(name: str) -> Any:
            async def tool(ctx: ToolContext, n: int, fate: str) -> str:
                return await self._act(name, ctx, fate)

            tool.__name__ = name
            tool.__doc__ = f"Do {name}."
            return tool

        registry.register(make("look"), effect="read")
        registry.register(make("put"), effect="idempotent")
        registry.register(make("pay"), effect="unsafe")
        registry.register(make("ask"), effect="unsafe", requires_confirmation=True, editable_params=["n"])
        registry.register(make("late"), effect="unsafe", requires_confirmation=True, expires=0.0001)
        return registry

    async def _act(self, name: str, ctx: ToolContext, fate: str) -> str:
        call = (ctx.trace_id, ctx.call_id)
        self.world.controls[call] += 1
        self.world.keys.setdefault(call, set()).add(ctx.idempotency_key)
        if name in UNSAFE:
            self.world.unsafe.add(call)
        steps = await self.traces.read_steps(ctx.trace_id)
        if not any(s.step_type == "tool_started" and s.data["call_id"] == ctx.call_id and s.data.get("attempt", 1) == ctx.attempt for s in steps):
            self.world.unannounced.append(f"{name} {call}")
        await self.gates.wait(name)
        if fate == "raises":
            raise RuntimeError("out of order")
        return f"{name} done"
