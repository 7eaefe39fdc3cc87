"""What a scenario of the crash kit plays on: a store, a runner, and points at which its process may be killed."""

import asyncio
import dataclasses
import functools
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.engine.offering import OWN_TOOLS
from agent.models.approval import Approval
from agent.models.trace import Trace
from agent.models.value import replace
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.crash import Journal, KillPoints, arm_store
from agent.tools.context import current_context
from agent.tools.registry import ToolRegistry

Decide = Callable[[Approval], Mapping[str, Any] | None]
"""What a person says of a waiting call: keywords of `AgentRunner.decide` (`verdict`, …); None leaves it waiting."""
AGENT = "agent"
"""Stands for the effect of a tool that is an agent: its runs have effects of their own."""
OWN = "own"
"""Stands for the effect of a tool that the runner has itself: it only reads, and nobody watches it."""
RUN_S = 60.0
"""A run that takes longer hangs."""


def approve(_: Approval) -> Mapping[str, Any]:
    """Approve whatever is asked."""
    return {"verdict": "approve", "by": "a person"}


class Stage:
    """One life of a scenario. The same scenario is played again after each kill: it begins what has not begun and goes on with the rest.

    `folder` is the scenario's own, and outlives the process; `url` names its store.
    """

    def __init__(self, folder: Path, url: str, points: KillPoints) -> None:
        self.folder, self.url, self.points = folder, url, points
        self.journal = Journal(folder / "journal")
        self.store: Store | None = None

    def point(self, name: str) -> None:
        """Come by a point of your own: a place at which a crash is to be tried, inside of a tool for instance."""
        self.points.reached(name)

    @asynccontextmanager
    async def runner(self, *, tools: ToolRegistry, llm: Any, config: AgentConfig | None = None, memory: bool = False) -> AsyncIterator[AgentRunner]:
        """Open the store and yield a runner; stores, tools and the model come by points before and after whatever they do."""
        async with open_store(self.url) as store:
            self.store = store
            arm_store(store, self.points)
            self._watch_tools(tools)
            base = config if config is not None else AgentConfig()
            async with AgentRunner(
                store.traces,
                store.memories if memory else None,
                store.states,
                tools,
                self.model(llm),
                dataclasses.replace(base, enable_memory=base.enable_memory and memory),
            ) as runner:
                yield runner

    async def drive(self, runner: AgentRunner, task: str, *, decide: Decide | None = None, **run: Any) -> Trace:
        """Begin the run of this task, or go on with it where an earlier life left it, until it has ended or only waits; return its trace.

        Calls in doubt are resolved by what the journal knows. Everything a reader is told is written down, to be compared with the log.
        """
        trace = await self.trace_of(task)
        if trace is None:
            trace = await self._read(runner.run(task, **run), task)
        while trace.status not in ("completed", "cancelled", "limit_reached"):
            said = await self._answer(runner, trace.trace_id, decide) if trace.status == "waiting" else True
            if not said:
                return trace
            trace = await self._read(runner.resume(trace.trace_id), task)
        return trace

    async def trace_of(self, task: str) -> Trace | None:
        """Return the trace of a task, or None; of sub-agents and forks only those with a task of their own."""
        assert self.store is not None, "first: async with stage.runner(...)"
        return next((trace for trace in await self.store.traces.list_traces() if trace.task == task), None)

    async def _read(self, events: AsyncIterator[Any], task: str) -> Trace:
        async with asyncio.timeout(RUN_S):
            async for event in events:
                if "sequence" in event.data:
                    self.journal.add("told", event.data["trace_id"], event.data["sequence"])
        trace = await self.trace_of(task)
        assert trace is not None, f"nothing is on the record of {task!r}, though it ended"
        return trace

    async def _answer(self, runner: AgentRunner, trace_id: str, decide: Decide | None) -> bool:
        """Say what there is to say of what waits; return whether anything was said."""
        waiting = await runner.pending()  # also of the agents below it
        said = not any(item.trace_id == trace_id for item in waiting)  # decided in an earlier life, and not yet gone on with
        for item in waiting:
            self.journal.add("pending", item.trace_id, item.call_id, item.reason)
            if item.reason == "in_doubt":
                outcome, result = self._truth(item)
                await runner.resolve(item.trace_id, item.call_id, outcome, result=result, by="the journal")  # type: ignore[arg-type]  # one of the three
                said = True
            elif decide is not None and (word := decide(item)) is not None:
                await runner.decide(item.trace_id, item.call_id, **word)
                said = True
        return said

    def _truth(self, item: Approval) -> tuple[str, str | None]:
        """What a person would find out about a call in doubt: the journal outlives the process."""
        lines = [words for words in self.journal.lines() if words[1:3] == [item.trace_id, item.call_id]]
        if ended := next((words for words in lines if words[0] == "ended"), None):
            return "done", json.loads(bytes.fromhex(ended[3]))
        return ("not_done", None) if any(words[0] == "began" for words in lines) else ("retry", None)

    # ---- watching

    def _watch_tools(self, tools: ToolRegistry) -> None:
        path = self.folder / "effects"
        known = json.loads(path.read_text()) if path.exists() else dict.fromkeys(OWN_TOOLS, OWN)
        path.write_text(json.dumps(known | {tool.name: AGENT if tool.agent is not None else tool.effect for tool in tools}))
        watch = self._watched_async, self._watched_sync
        tools._tools = {tool.name: replace(tool, function=watch[0 if tool.is_async else 1](tool.function)) for tool in tools}  # noqa: SLF001  # no public call swaps a function

    def _watched_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def watched(*args: Any, **kwargs: Any) -> Any:
            """Do what the tool does, with a word on either side."""
            place = self._begun()
            result = await function(*args, **kwargs)
            return self._ended(place, result)

        return watched

    def _watched_sync(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            """Do what the tool does, with a word on either side."""
            place = self._begun()
            return self._ended(place, function(*args, **kwargs))

        return watched

    def _begun(self) -> tuple[str, str]:
        context = current_context()
        assert context is not None, "a tool of a scenario runs in a run"
        self.points.reached("before tool")
        self.journal.add("began", context.trace_id, context.call_id, context.idempotency_key)
        return context.trace_id, context.call_id

    def _ended(self, place: tuple[str, str], result: Any) -> Any:
        self.journal.add("ended", *place, json.dumps(result, default=str).encode().hex())
        self.points.reached("after tool")
        return result

    def model(self, llm: Any) -> Any:
        """Return a model that comes by points on either side of each answer; for agents that have one of their own."""

        async def watched(messages: Sequence[dict[str, Any]], model: str, tools: Any = None, **settings: Any) -> Any:
            """Ask the model, with a word before and a point on either side."""
            self.points.reached("before model")
            self.journal.add("asked", fingerprint(messages))
            reply = await llm(messages, model, tools, **settings)
            self.points.reached("after model")
            return reply

        return watched


def fingerprint(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return what stands for a prompt in the journal."""
    return hashlib.sha256(json.dumps(list(messages), sort_keys=True, default=str).encode()).hexdigest()[:16]
