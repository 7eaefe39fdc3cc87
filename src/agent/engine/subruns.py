"""Calls that are carried out by runs of their own: sub-agents.

A call's run has an id that follows from the call, and its caller names it before it begins. So there is one run for each
call, whoever dies when: a second attempt goes on with the run that is there.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.core.decide import Wait, decide, expired_calls
from agent.core.fold import advance, fold, start
from agent.core.state import CallState, RunState
from agent.core.subruns import usage_of
from agent.core.wording import wording
from agent.engine.beginning import input_of, subrun_request, trace_of
from agent.engine.delegating import STOPPED_S, Caller
from agent.engine.driver import Driver
from agent.engine.engine import Engine
from agent.engine.executing import settled, stopped
from agent.engine.gates import taint_mode
from agent.engine.planning import Plan
from agent.engine.shop import RunNeeds, shop_of
from agent.engine.stopping import cancel, pause
from agent.errors import BadInput, Fenced, RunError, ToolNotFound, TraceExists, TraceNotFound
from agent.models.payloads import step_of
from agent.models.trace import ENDED, is_subrun
from agent.models.value import Value, replace
from agent.storage.protocols import TraceHead, TraceLog
from agent.tools.context import ToolContext


class Rested(Value, frozen=True):
    """A run that nobody drives now."""

    status: str
    state: RunState


class Subruns:
    """The sub-agents' runs of one engine. Their drivers are the engine's, as those of all runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pausing: set[str] = set()  # runs that were asked to pause and have not rested yet

    # ---- a call

    async def carry_out(self, caller: Caller, call: CallState, plan: Plan, context: ToolContext) -> said.ToolCall | said.Subrun:
        """Begin or go on with the run of a call. See `Delegate`."""
        began, language = time.perf_counter(), _language(caller.state)
        assert call.subrun is not None
        assert plan.tool is not None
        trace_id = call.subrun.trace_id
        try:
            rested = await self._rested(caller, call, plan, context)
        except (BadInput, ToolNotFound) as error:  # it could not begin
            told = wording("tool_error", language, error=str(error))
            return settled(caller.shop, call, plan, told, began, language, error_type=type(error).__name__, is_executed=False)
        finally:
            self._pausing.discard(trace_id)
        if rested.status not in ENDED:
            return said.Subrun(call_id=call.call.call_id, trace_id=trace_id, status=rested.status, usage=usage_of(rested.state))
        text, error_type = _answer(rested, language)
        fact = settled(caller.shop, call, plan, text, began, language, error_type=error_type)
        return replace(fact, usage=usage_of(rested.state), is_untrusted=fact.is_untrusted or bool(rested.state.untrusted))

    async def _rested(self, caller: Caller, call: CallState, plan: Plan, context: ToolContext) -> Rested:
        assert call.subrun is not None
        trace_id, is_first = call.subrun.trace_id, True
        while True:
            standing = await self._take_up(caller, call, plan, is_first=is_first)
            is_first = False
            if isinstance(standing, Rested):
                return standing
            if standing is None:
                await self._follow(trace_id, caller, context)
                continue
            driver, is_ours = standing
            await self._until_it_ends(driver, caller, context, is_ours=is_ours)
            if driver.was_fenced:
                continue
            if driver.rested is not None:
                return Rested(driver.rested, driver.state)
            if driver.error is not None:
                raise driver.error
            raise asyncio.CancelledError  # it was let go of: its caller's run is, too

    async def _take_up(self, caller: Caller, call: CallState, plan: Plan, *, is_first: bool) -> Rested | tuple[Driver, bool] | None:
        """Return the run's driver (and whether it was begun for this call), how it rests, or None where another process drives it."""
        assert call.subrun is not None
        trace_id, log = call.subrun.trace_id, self._engine.store
        if not isinstance(log, TraceLog):
            return await self._launched(self._begun(caller, call, plan)), True
        try:
            head = await log.head(trace_id)  # also another's: it is no run of this call, and none can begin under its id
        except TraceNotFound:
            with contextlib.suppress(TraceExists):
                return await self._launched(self._begun(caller, call, plan)), True
            head = await log.head(trace_id)
        if head.trace.uid != caller.trace.uid or head.trace.parent_trace_id != caller.trace.trace_id:
            raise BadInput(f"trace {trace_id!r} is not the run of this call")
        here = self._engine.driver_of(trace_id)
        if here is not None and not here.ended.is_set():
            return here, False
        if head.trace.status == "running" and head.owner_is_alive and not (caller.takes_over and is_first) and not self._engine.is_adrift(trace_id):
            return None
        state = fold(await log.read_steps(trace_id))
        if head.trace.status in ENDED or not (is_first or head.trace.status == "running") or not await self._can_go_on(head, state):
            return Rested(head.trace.status, state)
        needs = _needs_of(caller, state.input)
        try:
            return await self._launched(self._engine.taken(log, head, state, needs, None, takes_over=caller.takes_over)), True
        except Fenced:  # someone else took it up first
            return None

    async def _launched(self, preparing: Coroutine[Any, Any, tuple[Driver, Any]]) -> Driver:
        """Return a driver at work. If the call is given up meanwhile, its run is let go of as soon as it is owned."""
        task = asyncio.ensure_future(preparing)
        try:
            driver, _ = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait((task,), timeout=STOPPED_S)
            if task.done() and not task.cancelled() and task.exception() is None:
                driver = task.result()[0]
                self._engine.launch(driver)
                driver.let_go()
                await driver.ended.wait()
            raise
        self._engine.launch(driver)
        return driver

    async def _begun(self, caller: Caller, call: CallState, plan: Plan) -> tuple[Driver, None]:
        """Record the run of a call.

        Raises:
            BadInput, ToolNotFound: what was declared of the agent cannot be used; nothing was recorded.
            TraceExists: it was recorded already.
        """
        assert call.subrun is not None
        assert plan.tool is not None
        shop, asked = caller.shop, caller.state.input
        assert asked is not None
        trace_id = call.subrun.trace_id
        request = subrun_request(shop, caller.state, plan.tool, plan.arguments, uid=caller.trace.uid, passing=caller.needs.passing)
        asker = {"trace_id": caller.trace.trace_id, "call_id": call.call.call_id, "tool_name": plan.tool.name, "agent_type": asked.agent_type}
        payload = input_of(request, shop.tools, shop.redactor, shop.config, None)
        payload = replace(
            payload,
            language=asked.language,
            memory_placement=asked.memory_placement,
            policies=list(dict.fromkeys((*asked.policies, *payload.policies))),  # whatever the caller's run stands under holds here, too
            taint=taint_mode(asked, shop.config),
            asked_by=[*asked.asked_by, asker],
        )
        trace = replace(trace_of(request, payload, trace_id), parent_trace_id=caller.trace.trace_id)
        step = step_of(payload, trace_id, 0, at=trace.created_at, epoch=1)
        await shop.log.open_trace(trace, [step])
        driver = Driver(shop_of(self._engine.shop, payload), trace, advance(start(), step), epoch=1, needs=_needs_of(caller, payload), delegate=self)
        self._engine.bind(driver)
        return driver, None

    # ---- while it runs

    async def _until_it_ends(self, driver: Driver, caller: Caller, context: ToolContext, *, is_ours: bool) -> None:
        ended, stop = asyncio.ensure_future(driver.ended.wait()), asyncio.ensure_future(context.cancelled.wait())
        try:
            await asyncio.wait((ended, stop), return_when=asyncio.FIRST_COMPLETED)  # bounded by the run's own limits, or a cancel
            if not driver.ended.is_set():
                if not caller.ends_below:
                    raise asyncio.CancelledError  # noqa: TRY301  as if it had come a moment later
                await self._cancel(driver.trace.trace_id, caller)
        except asyncio.CancelledError:
            if is_ours and not caller.ends_below:
                driver.let_go()
            if is_ours:
                await asyncio.wait((ended,), timeout=STOPPED_S)
            raise
        finally:
            ended.cancel()
            stop.cancel()

    async def _follow(self, trace_id: str, caller: Caller, context: ToolContext) -> None:
        """Return when the run rests that another process drives, or when nobody drives it any more."""
        watching, stop = asyncio.ensure_future(self._watched(trace_id)), asyncio.ensure_future(context.cancelled.wait())
        try:
            await asyncio.wait((watching, stop), return_when=asyncio.FIRST_COMPLETED)  # as above
            if stop.done() and not watching.done():
                if not caller.ends_below:
                    raise asyncio.CancelledError
                await self._cancel(trace_id, caller)
                await watching
        finally:
            watching.cancel()
            stop.cancel()

    async def _watched(self, trace_id: str) -> None:
        async for _ in self._engine.watch(trace_id):
            pass

    async def _cancel(self, trace_id: str, caller: Caller) -> None:
        with contextlib.suppress(RunError):  # it has an answer already
            await cancel(self._engine, trace_id, by=caller.state.stopped_by or f"run {caller.trace.trace_id}", uid=caller.trace.uid)

    # ---- what others want of it

    async def pause(self, calls: Sequence[CallState], by: str | None, uid: str | None) -> None:
        """Have the runs of calls rest at their next safe point."""
        for call in calls:
            if call.subrun is None or call.subrun.trace_id in self._pausing:
                continue
            self._pausing.add(call.subrun.trace_id)
            with contextlib.suppress(RunError, TraceNotFound):  # it has an answer already, or has not begun
                await pause(self._engine, call.subrun.trace_id, by=by, uid=uid)

    async def ready(self, state: RunState, epoch: int) -> tuple[CallState, ...]:
        """Return the suspended calls whose runs can go on, or have ended. See `Delegate`."""
        found: list[CallState] = []
        for call in state.turn:
            if call.subrun is None or not call.is_suspended or call.result is not None:
                continue
            if await self._is_ready(call.subrun.trace_id, may_unpause=call.started_epoch != epoch):
                found.append(call)
        return tuple(found)

    async def _is_ready(self, trace_id: str, *, may_unpause: bool) -> bool:
        log = self._engine.store
        if not isinstance(log, TraceLog):
            return False
        try:
            head = await log.head(trace_id)
        except TraceNotFound:
            return True
        if head.trace.status == "paused":
            return may_unpause
        return head.trace.status != "waiting" or await self._can_go_on(head, fold(await log.read_steps(trace_id)))

    async def _can_go_on(self, head: TraceHead, state: RunState) -> bool:
        """Return whether a run that does not drive now has something to do."""
        if head.trace.status != "waiting":
            return True
        epoch = head.epoch + 1
        return not isinstance(decide(state, epoch, {}), Wait) or bool(expired_calls(state, now().timestamp())) or bool(await self.ready(state, epoch))

    async def is_abandoned(self, trace_id: str) -> bool:
        """Return whether a run carries out a call of a run that was cancelled; it is cancelled then, too."""
        log = self._engine.store
        if not isinstance(log, TraceLog):
            return False
        trace = (await log.head(trace_id)).trace
        while is_subrun(trace) and trace.parent_trace_id is not None:
            try:
                trace = (await log.head(trace.parent_trace_id)).trace
            except TraceNotFound:
                return False
            if trace.status == "cancelled":
                with contextlib.suppress(RunError):
                    await cancel(self._engine, trace_id, by=f"run {trace.trace_id}")
                return True
        return False

    def stopped(self, call: CallState, language: str) -> said.ToolCall:
        """Return the step of a call whose run was cancelled with its caller's before it had rested."""
        assert call.subrun is not None
        driver = self._engine.driver_of(call.subrun.trace_id)
        return replace(stopped(call, language), usage=usage_of(driver.state) if driver is not None else {})


def _needs_of(caller: Caller, asked: said.Input | None) -> RunNeeds:
    """Return what the log of a run never holds, as its caller has it."""
    unstored = asked.unstored if asked is not None else []
    return RunNeeds(passing={name: caller.needs.passing[name] for name in unstored if name in caller.needs.passing}, deps=caller.needs.deps)


def _language(state: RunState) -> str:
    return state.input.language if state.input is not None else "en"


def _answer(rested: Rested, language: str) -> tuple[str, str | None]:
    """Return what the caller's model is told of a run that has ended, and what kind of error it is."""
    state = rested.state
    text = state.conclusion or ""
    if rested.status == "completed":
        return text, None
    if rested.status == "limit_reached":
        reached = state.limit
        return wording("subrun_limit", language, limit=f"{reached.limit}={reached.value}" if reached is not None else "", text=text), None
    unknown = ", ".join(call.call.name for call in state.turn if state.is_unknown(call))
    note = wording("subrun_unknown", language, calls=unknown) if unknown else ""
    if rested.status == "cancelled":
        return wording("subrun_cancelled", language) + note, "Cancelled"
    error = f"{state.failure.error_type}: {state.failure.error}" if state.failure is not None else ""
    return wording("subrun_failed", language, error=error) + note, "SubrunFailed"
