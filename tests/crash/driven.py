"""What the child processes of the crash tests do: begin a run, or go on with one, and die where they are told to."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import agent.core.decide as deciding
import agent.engine.decider as drafting
import agent.engine.driver as driving
import agent.models.payloads as said
from agent.assemble import open_store
from agent.config import AgentConfig
from agent.core.fold import fold
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.storage.sqlite import append
from agent.testing.crash import Journal, KillPoints, arm
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

UNSAFE = "pay"
SCRIPTS: dict[str, list[Any]] = {
    "serial": [asks(tool_request("pay", {"n": 1})), asks(tool_request("look", {"n": 2})), asks(tool_request("pay", {"n": 3})), "done"],
    "parallel": [
        asks(tool_request("look", {"n": 1}), tool_request("pay", {"n": 2}), tool_request("put", {"n": 3})),
        asks(tool_request("pay", {"n": 4}), tool_request("pay", {"n": 5}), tool_request("nobody", {}), tool_request("pay", {"n": 6})),
        "done",
    ],
    "transactional": [
        asks(tool_request("count", {"n": 1}), tool_request("count", {"n": 2}), tool_request("look", {"n": 3})),
        asks(tool_request("count", {"n": 4})),
        "done",
    ],
}
CONFIG = AgentConfig(parallel_tools=2)  # a third sibling waits for its turn


def tools_of(journal: Journal, points: KillPoints, folder: Path) -> ToolRegistry:
    """Return tools whose effects are lines in the journal."""
    registry = ToolRegistry()

    def effect(ctx: ToolContext, n: int) -> str:
        points.reached("before effect")
        journal.add("effect", ctx.call_id, ctx.idempotency_key, os.getpid())
        points.reached("after effect")
        return f"done {n}"

    @registry.tool(effect="unsafe")
    async def pay(ctx: ToolContext, n: int) -> str:
        "Pay."
        await asyncio.sleep(0)
        return effect(ctx, n)

    @registry.tool(effect="read")
    def look(ctx: ToolContext, n: int) -> str:
        "Look."
        return effect(ctx, n)

    @registry.tool(effect="idempotent")
    async def put(ctx: ToolContext, n: int) -> str:
        "Put."
        return effect(ctx, n)

    @registry.tool(effect="transactional")
    async def count(ctx: ToolContext, n: int) -> str:
        "Count in the state store."
        counted = await ctx.state.get("counted") or []
        await ctx.state.set("counted", [*counted, ctx.call_id])
        return effect(ctx, n)

    @registry.tool(effect="unsafe")
    async def pay_slowly(ctx: ToolContext, n: int) -> str:
        "Pay when a file says so."
        _wait_for(folder / "go")
        return effect(ctx, n)

    @registry.tool(effect="read")
    async def look_slowly(ctx: ToolContext, n: int) -> str:
        "Look when a file says so, or at once in a process that comes after."
        if ctx.attempt == 1:
            _wait_for(folder / "go")
        return effect(ctx, n)

    return registry


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        time.sleep(0.01)  # another process makes it
        if time.monotonic() > deadline:
            raise TimeoutError(path)


class Model(ScriptedLLM):
    """Tells the journal of each call that begins and ends."""

    def __init__(self, lines: list[Any], journal: Journal, points: KillPoints) -> None:
        super().__init__(lines)
        self.journal, self.points = journal, points

    async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
        """Return the next line."""
        number = sum(message["role"] == "assistant" for message in messages)
        self.points.reached("before model")
        self.journal.add("model", number)
        reply = await super().__call__(messages, model, tools, **settings)
        self.points.reached("after model")
        return reply


def in_transaction(points: KillPoints) -> None:
    """Die also between the rows of a transaction and its commit."""
    for name in ("append_steps", "append_after"):
        setattr(append, name, _dying(getattr(append, name), points))


def _dying(plain: Callable[..., Any], points: KillPoints) -> Callable[..., Any]:
    def change(*args: Any, **kwargs: Any) -> Any:
        done = plain(*args, **kwargs)
        points.reached("inside a transaction")
        return done

    return change


def plant_bug(name: str) -> None:
    """Break the engine on purpose, in this process, so that the tests can be seen to catch it."""
    if name == "unsafe calls are repeated":
        deciding.REPEATABLE = frozenset({"read", "idempotent", "transactional", "unsafe"})
    elif name == "the result is recorded before the effect":
        attend = driving.Driver._attend

        async def attend_late(self: driving.Driver, calls: Any) -> None:
            await self._record([said.ToolCall(call_id=call.call.call_id, tool_name=call.call.name, result="done") for call in calls])
            await attend(self, calls)

        driving.Driver._attend = attend_late  # type: ignore[method-assign]  # on purpose
    elif name == "the effect comes before the announcement":
        plan = vars(drafting)["plan_call"]

        def plan_early(shop: Any, state: Any, call: Any, context_of: Any) -> Any:
            planned = plan(shop, state, call, context_of)
            if planned.tool is not None and planned.kind == "begin" and not planned.tool.is_async:
                planned.tool.function(context_of(call), **planned.arguments)
            return planned

        vars(drafting)["plan_call"] = plan_early
    else:
        raise AssertionError(name)


def live(folder: str, script: str, kill_at: int | None, *, is_first: bool, take_over: bool = False, plant: str | None = None) -> None:
    """Begin a run in this process, or resume the one that is there; the points it came by go to a file at the end."""
    if plant is not None:
        plant_bug(plant)
    asyncio.run(_live(Path(folder), SCRIPTS.get(script) or [asks(tool_request(script, {"n": 1})), "done"], kill_at, is_first=is_first, take_over=take_over))


async def _live(folder: Path, lines: list[Any], kill_at: int | None, *, is_first: bool, take_over: bool) -> None:
    points, journal = KillPoints(kill_at), Journal(folder / "journal")
    tools = tools_of(journal, points, folder)
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        arm(store.traces, points)
        in_transaction(points)
        async with AgentRunner(store.traces, None, store.states, tools, Model(lines, journal, points), CONFIG) as runner:
            if is_first:
                events = await collect(runner.run("go", tools=list(tools.names())))
            else:
                (trace,) = await store.traces.list_traces()
                events = await collect(runner.resume(trace.trace_id, take_over=take_over))
    (folder / f"points-{os.getpid()}.json").write_text(json.dumps(points.names))
    (folder / f"events-{os.getpid()}.json").write_text(json.dumps([event.type for event in events]))


async def resolve(folder: Path) -> int:
    """Say of every call in doubt what the journal knows; return how many there were. What a person does through `resolve`."""
    done = {words[1] for words in Journal(folder / "journal").lines() if words[0] == "effect"}
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        (trace,) = await store.traces.list_traces()
        calls = [call.call.call_id for call in fold(await store.traces.read_steps(trace.trace_id)).turn if call.is_in_doubt]
        for call_id in calls:
            head = await store.traces.head(trace.trace_id)
            outcome = "done" if call_id in done else "retry"
            step = Step.create(trace.trace_id, "in_doubt_resolved", head.next_sequence, {"call_id": call_id, "outcome": outcome, "by": "me"})
            await store.traces.add_step(step)
    return len(calls)
