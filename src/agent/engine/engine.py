"""Owns the runs of this process: begins them, takes them up again, lets people watch and stop them."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import agent.models.payloads as said
from agent.clock import now
from agent.core.decide import Wait, decide, expired_calls
from agent.core.fold import advance, fold, start
from agent.core.limits import DAILY, driven_s
from agent.core.prompt import continues_of
from agent.core.state import RunState
from agent.core.telling import tell, tell_ending
from agent.engine.beginning import Request, check_kinds, input_of, trace_of
from agent.engine.bounds import bounds_of
from agent.engine.conversations import Conversations
from agent.engine.cut_results import READ_RESULT
from agent.engine.days import Days
from agent.engine.delegating import Delegate, check_declared
from agent.engine.driver import Driver
from agent.engine.following import Follower
from agent.engine.limits import raising
from agent.engine.log import PlainLog, as_trace_log, head_of, is_to_be_learnt
from agent.engine.parted import parted
from agent.engine.planning import stale_calls
from agent.engine.reading import Reading
from agent.engine.shop import RunNeeds, Shop, shop_of
from agent.engine.transactional import check_transactional
from agent.errors import ConversationBusy, Fenced, SettingMissing, Unsupported
from agent.events import AgentEvent
from agent.ids import new_id
from agent.models.payloads import step_of
from agent.models.trace import ENDED, Step, is_subrun
from agent.models.value import replace
from agent.storage.protocols import TraceHead, TraceLog, TraceStore
from agent.tools.agents import reachable

T = TypeVar("T")
MAX_BEGINNINGS = 20  # how often a run of a conversation is begun anew because another one was first
LOOK_S = 1.0  # how often a watcher of another process's run makes sure that its owner lives


class Engine:
    """The runs that are driven in this process, by trace id."""

    def __init__(self, shop: Shop, store: TraceStore | None) -> None:
        self.shop, self.store = shop, store
        self.delegate: Delegate | None = None  # carries out the calls of agents; set once, before anything runs
        self.drivers: dict[str, Driver] = {}
        self._adrift: set[str] = set()  # runs that this process still owns but no longer drives: their ending could not be written
        self.conversations = Conversations()
        self.days = Days(store, self._unrecorded)
        self._follower = Follower(store, shop.config) if isinstance(store, TraceLog) else None

    # ---- beginning

    async def start(self, request: Request, deps: Any) -> Reading:
        """Record a new run, begin to drive it, and return a reader that misses nothing."""
        driver, first = await self._whole(self._recorded(request, deps))
        reading = self.reading(driver)
        driver.feed.publish(*tell(first, driver.state))
        self.launch(driver)
        return reading

    async def _recorded(self, request: Request, deps: Any, attempts: int = MAX_BEGINNINGS) -> tuple[Driver, Step]:
        check_kinds(request)
        place = None
        if request.conversation_id is not None:
            place = await self.conversations.latest(as_trace_log(self.store, "continue a conversation"), request.conversation_id, request.uid)
        ended = await self.conversations.ended(as_trace_log(self.store, "continue a conversation"), place) if place else None
        inherited = ended.messages if ended is not None else None
        if ended is not None and (ended.untrusted or ended.cut):
            request = replace(request, untrusted=(*request.untrusted, *ended.untrusted), cut=ended.cut)
        payload = input_of(request, self.shop.tools, self.shop.redactor, self.shop.config, place)
        check_transactional(self.shop, (*(payload.tools or ()), *reachable(self.shop.tools, payload.tools or (), READ_RESULT)))
        trace_id = new_id()
        trace = trace_of(request, payload, trace_id)
        step = step_of(payload, trace_id, 0, at=trace.created_at, epoch=1)
        try:
            async with self.days.beginning(request.limits, request.uid):
                if isinstance(self.shop.log, PlainLog):
                    await self.shop.log.open_trace(trace, [step], inherited=inherited)
                elif request.conversation_id is None:
                    await self.shop.log.open_trace(trace, [step])
                else:
                    await self.shop.log.open_trace(trace, [step], only_after=place[0] if place else "")
        except ConversationBusy:  # another run of it was recorded since: go on from that one, if it has ended
            if attempts <= 1:
                raise
            return await self._recorded(request, deps, attempts - 1)
        state = advance(start(inherited), step)
        needs = RunNeeds(passing={n: request.keywords[n] for n in payload.unstored}, deps=deps, output=request.output)
        driver = Driver(self.shop, trace, state, epoch=1, needs=needs, delegate=self.delegate)
        self.bind(driver)
        return driver, step

    def bind(self, driver: Driver, before_s: float = 0.0) -> None:
        """Hold a run to the limits of which its log does not tell; `before_s` is for how long it was driven already."""
        if not driver.state.limits:
            return
        day = self.days.of(driver.state.limits, driver.trace.uid)
        driver.decider.bounds = bounds_of(driver.state, driven_s=before_s, final_s=self.shop.config.final_answer_timeout_s, day=day)

    def _unrecorded(self, uid: str | None) -> tuple[int, float]:
        """Return the tokens and USD that runs of a uid have used here and that their traces do not tell yet."""
        runs = [(driver.state.used, driver.trace) for driver in self.drivers.values() if driver.trace.uid == uid]
        return sum(used.tokens - trace.total_tokens for used, trace in runs), sum(used.cost - (trace.total_cost or 0.0) for used, trace in runs)

    async def _whole(self, preparing: Coroutine[Any, Any, tuple[Driver, T]]) -> tuple[Driver, T]:
        """Return a driver that owns its run. If the caller goes away meanwhile it is launched all the same: owned but not driven, the run would stand still."""

        def launch(prepared: "asyncio.Task[tuple[Driver, T]]") -> None:
            """Launch what nobody waits for any more."""
            if not prepared.cancelled() and prepared.exception() is None:
                self.launch(prepared.result()[0])

        task = asyncio.ensure_future(preparing)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(launch)
            raise

    def launch(self, driver: Driver) -> None:
        """Begin to drive a run that this process owns."""
        trace_id = driver.trace.trace_id
        self.drivers[trace_id] = driver
        driver.task = asyncio.create_task(driver.drive(), name=f"run {trace_id}")
        if self._follower is not None:

            def look() -> None:
                """See what another process appended."""
                driver.notice()
                driver.looking = asyncio.ensure_future(self._look(driver))

            driver.on_news = look
            self._follower.drive(trace_id, driver.hear)
            driver.task.add_done_callback(lambda _: self._follower.release(trace_id, driver.hear) if self._follower else None)
        driver.task.add_done_callback(lambda _: self._ended(driver))

    async def _look(self, driver: Driver) -> None:
        """Interrupt a run that another process cancelled."""
        news = await self.shop.log.read_steps(driver.trace.trace_id, after=driver.state.next_sequence - 1)
        if any(step.step_type == "cancelled" for step in news):
            driver.interrupt()

    def _ended(self, driver: Driver) -> None:
        trace_id = driver.trace.trace_id
        if not driver.ended.is_set():  # its task was cancelled before it began: nobody else ends what its readers wait for
            self._adrift.add(trace_id)
            driver.feed.end()
            driver.ended.set()
        if self.drivers.get(trace_id) is driver:
            del self.drivers[trace_id]
        if driver.error is not None and driver.state.status == "running":
            self._adrift.add(trace_id)
        if self.shop.learning is not None and driver.state.status in ENDED and is_to_be_learnt(driver.state):
            self.shop.learning.learn_soon(trace_id)
        if driver.trace.conversation_id is not None and driver.state.status in ENDED:
            self.conversations.remember((driver.trace.trace_id, driver.state.next_sequence - 1), driver.state)

    def is_adrift(self, trace_id: str) -> bool:
        """Whether this process still owns a run that it no longer drives."""
        return trace_id in self._adrift

    def driver_of(self, trace_id: str) -> Driver | None:
        """Return who drives a run here; None also for one whose event loop was closed under it: any resume may take that up."""
        driver = self.drivers.get(trace_id)
        if driver is not None and driver.task is not None and driver.task.get_loop().is_closed():
            del self.drivers[trace_id]
            self._adrift.add(trace_id)
            return None
        return driver

    # ---- watching

    def reading(self, driver: Driver) -> Reading:
        """Return a reader of a run that is driven here: it gets what is told from now on."""
        trace_id, has_log = driver.trace.trace_id, isinstance(self.store, TraceLog)
        return Reading(driver, lambda last: self.watch(trace_id, after=last) if has_log else None)

    async def watch(self, trace_id: str, *, after: int = -1, uid: str | None = None) -> AsyncIterator[AgentEvent]:
        """Yield the durable events past `after`, then live ones until the run rests or nobody drives it any more."""
        log = as_trace_log(self.store, "watch a run")
        head = await head_of(log, trace_id, uid)
        driver = self.driver_of(trace_id)
        if driver is not None and driver.feed.is_over:  # it has told its ending already
            driver = None
        reading = self.reading(driver) if driver else None
        told: list[AgentEvent] = []
        try:
            state = await self._read(log, trace_id, None, after, told)
            for event in told:
                yield event
            if driver is not None and reading is not None:
                async for event in self._rest_of(driver, reading, state.next_sequence - 1):
                    yield event
                return
        finally:
            if reading is not None:
                reading.leave()
        async for event in self._watch_others(log, head, state):
            yield event

    async def _rest_of(self, driver: Driver, reading: Reading, told: int) -> AsyncIterator[AgentEvent]:
        """Yield what is past the steps told already. What failed the run was told by its last event, and is raised to its own reader only."""
        reading.pass_over(told)
        try:
            while reading.events or await reading.more():
                event = reading.take()
                if event.type == "awaiting_user_action" or event.data.get("sequence", told + 1) > told:
                    yield event
        except Exception:
            if driver.error is None:
                raise

    async def _read(self, log: TraceLog, trace_id: str, state: RunState | None, after: int, told: list[AgentEvent]) -> RunState:
        """Fold the steps that follow `state`, and put the events of those past `after` into `told`."""
        steps = await log.read_steps(trace_id, after=state.next_sequence - 1 if state else -1)
        if state is None:
            state = start(await self.conversations.messages(log, continues_of(steps)))
        for step in steps:
            state = advance(state, step)
            if step.sequence > after:
                told.extend(tell(step if step.trace_id == trace_id else replace(step, trace_id=trace_id), state))  # inherited steps keep their ids
        return state

    async def _watch_others(self, log: TraceLog, head: TraceHead, state: RunState) -> AsyncIterator[AgentEvent]:
        trace_id = head.trace.trace_id
        assert self._follower is not None
        grown = self._follower.watch(trace_id)
        try:
            while True:
                told: list[AgentEvent] = []
                head = await log.head(trace_id)  # before the steps: what ended it is then among them
                state = await self._read(log, trace_id, state, -1, told)
                for event in told:
                    yield event
                if head.trace.status != "running":
                    for event in tell_ending(trace_id, state, head.trace.status):
                        yield event
                    return
                if not head.owner_is_alive:
                    return
                grown.clear()
                try:
                    async with asyncio.timeout(LOOK_S):
                        await grown.wait()
                except TimeoutError:
                    continue
        finally:
            self._follower.leave(trace_id, grown)

    # ---- going on

    async def resume(
        self, trace_id: str, *, limits: dict[str, Any] | None, take_over: bool, keywords: dict[str, Any], deps: Any, uid: str | None
    ) -> AsyncIterator[AgentEvent]:
        """Go on with a run as the table of endings says, yielding its events from here on."""
        log = as_trace_log(self.store, "resume a run")
        head = await head_of(log, trace_id, uid)
        if head.trace.status in ("completed", "cancelled") or await self._is_abandoned(head):
            return
        if head.trace.mode != "agent":
            raise Unsupported(f"trace {trace_id!r} is a single call ({head.trace.status}): call again instead of resuming it")
        self.driver_of(trace_id)
        if head.trace.status == "running" and head.owner_is_alive and not take_over and trace_id not in self._adrift:
            async for event in self.watch(trace_id, after=head.next_sequence - 1):
                yield event
            return
        state = await self._read(log, trace_id, None, -1, [])
        if state.input is None:
            raise Unsupported(f"trace {trace_id!r} begins with no 'input' step: another runner recorded it, so it can be read but not resumed")
        if head.trace.status == "waiting" and await self._is_stuck(head, state):
            yield tell_ending(trace_id, state, "waiting")[-1]
            return
        needs = self._needs(trace_id, state, keywords, deps)
        raised, before_s = await self._raised(log, head, state, limits)
        try:
            driver, _ = await self._whole(self.taken(log, head, state, needs, raised, takes_over=take_over, before_s=before_s))
        except Fenced:  # someone else took it up first
            async for event in self.watch(trace_id, after=state.next_sequence - 1):
                yield event
            return
        with self.reading(driver) as reading:
            self.launch(driver)
            while reading.events or await reading.more():
                yield reading.take()

    async def _raised(self, log: TraceLog, head: TraceHead, state: RunState, limits: dict[str, Any] | None) -> tuple[said.Input | None, float]:
        """Return the step that raises limits, if there is one, and for how long the run was driven (0 where no limit asks)."""
        bounds = {**state.limits, **(limits or {})}
        before_s = driven_s(await log.read_steps(head.trace.trace_id)) if "max_wall_s" in bounds else 0.0
        raised = raising(head.trace.trace_id, state, limits, driven_s=before_s)
        if state.limit is not None and state.limit.limit in DAILY:
            await self.days.check(bounds, head.trace.uid)
        return raised, before_s

    async def taken(
        self,
        log: TraceLog,
        head: TraceHead,
        state: RunState,
        needs: RunNeeds,
        raised: said.Input | None,
        *,
        takes_over: bool = False,
        before_s: float | None = None,
    ) -> tuple[Driver, None]:
        """Own a run that is there, and return what will drive it once it is launched. `before_s`: for how long it was driven; None: look.

        Raises:
            Fenced: someone else took it up first.
        """
        trace_id = head.trace.trace_id
        self._adrift.discard(trace_id)
        epoch = await log.claim(trace_id, expected_epoch=head.epoch)
        try:
            state = fold(await log.read_steps(trace_id, after=state.next_sequence - 1), state)
            driver = Driver(shop_of(self.shop, state.input), head.trace, state, epoch=epoch, needs=needs, before=head, delegate=self.delegate)
            driver.takes_over = takes_over
            if head.trace.fork_at is not None:
                driver.decider.parted = await parted(log, head.trace)
            if raised is not None:
                await driver.begin_with(raised)
            if driver.state.limits:
                self.bind(driver, before_s if before_s is not None else driven_s(await log.read_steps(trace_id)))
        except BaseException:
            self._adrift.add(trace_id)
            raise
        return driver, None

    async def _is_abandoned(self, head: TraceHead) -> bool:
        return self.delegate is not None and is_subrun(head.trace) and await self.delegate.is_abandoned(head.trace.trace_id)

    async def _is_stuck(self, head: TraceHead, state: RunState) -> bool:
        """Return whether a run that waits has nothing to do before a person acts."""
        if not isinstance(decide(state, head.epoch + 1, {}), Wait) or expired_calls(state, now().timestamp()):
            return False
        if stale_calls(state, self.shop.tools):
            return False
        return self.delegate is None or not await self.delegate.ready(state, head.epoch + 1)

    def _needs(self, trace_id: str, state: RunState, keywords: dict[str, Any], deps: Any) -> RunNeeds:
        unstored = state.input.unstored if state.input else []
        missing = tuple(name for name in unstored if name not in keywords)
        if missing:
            raise SettingMissing(trace_id, missing)
        check_transactional(self.shop, (state.input.tools or ()) if state.input else ())
        check_declared(self.shop, state)
        return RunNeeds(passing=keywords, deps=deps)

    async def aclose(self) -> None:
        """Let go of all runs: each can be resumed from its log."""
        drivers = [driver for trace_id in list(self.drivers) if (driver := self.driver_of(trace_id)) is not None]
        for driver in drivers:
            driver.let_go()
        await asyncio.gather(*(driver.task for driver in drivers if driver.task is not None), return_exceptions=True)
        if self._follower is not None:
            await self._follower.aclose()
