"""The calls of a run that have begun here: their tasks, their contexts, and what comes of them."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import agent.models.payloads as said
from agent.core.limits import Outside
from agent.core.state import CallState, RunState
from agent.engine.decider import Decider
from agent.engine.delegating import STOPPED_S, Below
from agent.engine.doubts import doubted, examined, left_open
from agent.engine.executing import Outcome, run_tool, stopped
from agent.engine.shop import Shop
from agent.engine.transactional import stage_for
from agent.models.payloads import Payload
from agent.models.trace import Trace
from agent.models.value import replace
from agent.storage.staging import StagedStates
from agent.tools.context import ToolContext
from agent.tools.invoke import Interrupted


class UnderWay:
    """Runs calls for one driver. `worker` drives the run now, `worker_before` did until it was taken over."""

    def __init__(self, shop: Shop, trace: Trace, decider: Decider, below: Below, *, worker: str | None, worker_before: str | None) -> None:
        self.shop, self.trace, self.decider, self.below = shop, trace, decider, below
        self.worker, self.worker_before = worker, worker_before
        self.staged: dict[str, StagedStates] = {}  # of transactional calls that ended, until their results are recorded
        self._begun: set[str] = set()  # what got control here
        self._tasks: dict[str, asyncio.Task[Outcome | Interrupted]] = {}
        self._contexts: dict[str, ToolContext] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    async def run(self, state: RunState, call: CallState) -> Outcome:
        """Run a call in this very task and return what came of it."""
        call_id = call.call.call_id
        self._begun.add(call_id)
        plan = self.decider.plan_of(state, call)
        context = self._contexts[call_id] = self.decider.context_of(call)
        staged = stage_for(self.shop, self.trace, plan, context)
        try:
            if call.subrun is not None:
                return [await self.below.carry_out(call, plan, context)]
            fact = await run_tool(self.shop, call, plan, context, language=self.decider.language, worker=self.worker)
            if staged is not None and isinstance(fact, said.ToolCall) and fact.is_ok:
                self.staged[call_id] = staged
            return await examined(self.shop, self.decider, state, call, fact) if isinstance(fact, said.InDoubtStep) else [fact]
        finally:
            self._contexts.pop(call_id, None)
            if staged is not None:
                staged.close()

    async def until_one_ends(self, state: RunState, calls: Sequence[CallState], news: asyncio.Event) -> tuple[list[Payload], Interrupted | None]:
        """Run calls in tasks of their own, but for those that run already, until one of all has ended, there is news, or the time is over.

        Return what came of them, and an interruption if there was one.
        """
        for call in calls:
            if call.call.call_id not in self._tasks:
                self._tasks[call.call.call_id] = asyncio.create_task(_apart(self.run(state, call)), name=f"tool {call.call.call_id}")
        is_news, bounds = asyncio.ensure_future(news.wait()), self.decider.bounds
        try:
            left_s = bounds.left_s if bounds is not None else None
            done, _ = await asyncio.wait((*self._tasks.values(), is_news), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_news.cancel()
        facts: list[Payload] = []
        stop: Interrupted | None = None
        for call_id in [call_id for call_id, task in self._tasks.items() if task in done]:
            outcome = self._tasks[call_id].result()
            if isinstance(outcome, Interrupted):
                stop = outcome  # its call stays in: nothing is known of it
            else:
                facts += outcome
                del self._tasks[call_id]
        return facts, stop

    async def stop(self, grace_s: float) -> None:
        """Ask running tools to stop, then stop them; returns when they have ended or the grace is over."""
        for context in self._contexts.values():
            context.cancelled.set()
        await _stop(list(self._tasks.values()), grace_s)

    async def wind_up(self, state: RunState, grace_s: float) -> None:
        """Stop what a cancelled run has at work: tools as above. The runs below have tools of their own: they wind up, and are waited for."""
        names = {call.call.call_id for call in state.turn if call.subrun is not None}
        if below := [task for call_id, task in self._tasks.items() if call_id in names]:
            for context in self._contexts.values():
                context.cancelled.set()
            tools = [task for call_id, task in self._tasks.items() if call_id not in names]
            await asyncio.gather(_stop(tools, grace_s), asyncio.wait(below, timeout=STOPPED_S))
        await self.stop(grace_s)

    def finished(self) -> dict[str, Outcome]:
        """Return what is known of the calls that ran, which are then forgotten."""
        ended = {k: t.result() for k, t in self._tasks.items() if t.done() and not t.cancelled() and t.exception() is None}
        self._tasks.clear()
        return {k: outcome for k, outcome in ended.items() if not isinstance(outcome, Interrupted)}

    async def left(self, state: RunState, cause: str, limit: Outside | None = None) -> list[Payload]:
        """Return what is to be said of all calls that were stopped because of `cause`, or a limit; they are then forgotten."""
        outcomes = self.finished()
        facts = [fact for outcome in outcomes.values() for fact in outcome]
        if cause in ("cancel", "limit"):  # else the runs below go on when this one does
            facts += self.below.stopped(outcomes)
        never = [c for c in state.under_way if c.started_epoch == self.decider.epoch and c.subrun is None and c.call.call_id not in self._begun]
        facts += [replace(stopped(c, self.decider.language), is_executed=False) for c in never]
        outcomes.update({c.call.call_id: [] for c in never})
        return facts + await left_open(self.shop, self.decider, state, outcomes, workers=(self.worker, self.worker_before), cause=cause, limit=limit)

    async def lost(self, state: RunState, calls: Sequence[CallState]) -> list[Payload]:
        """Return what is to be said of calls that the worker before had begun."""
        return await doubted(self.shop, self.decider, state, calls, worker=self.worker_before, cause="crash")


async def _apart(running: Awaitable[Outcome]) -> Outcome | Interrupted:
    """Return the outcome of a call that runs in a task of its own; an interruption from the keyboard too, which must not break out of the loop there."""
    try:
        return await running
    except KeyboardInterrupt as stop:
        return Interrupted(stop)


async def _stop(tasks: "Sequence[asyncio.Task[Any]]", grace_s: float) -> None:
    if not tasks:
        return
    _, left = await asyncio.wait(tasks, timeout=grace_s if any(not t.done() for t in tasks) else 0)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=grace_s + 1.0)
