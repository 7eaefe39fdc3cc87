"""Drives one run to rest: decide, perform, append, and round again. The log is its only state."""

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence

import agent.models.payloads as said
from agent.clock import now
from agent.core.decide import Action, Attend, CallModel, Compact, Conclude, Fail, MarkInDoubt, Open, ReadMemory, Rest, Wait, expired_calls
from agent.core.fold import advance
from agent.core.limits import Outside
from agent.core.state import CallState, RunState
from agent.core.telling import tell, tell_ending, totals
from agent.engine.asking import ask_model, may_be_billed
from agent.engine.bounds import in_time
from agent.engine.decider import Decider
from agent.engine.delegating import Below, Delegate
from agent.engine.doubts import worker_of
from agent.engine.draft import Draft, expire
from agent.engine.executing import stopped
from agent.engine.feed import Feed
from agent.engine.log import ending_changes
from agent.engine.remembering import WITHOUT_MEMORY
from agent.engine.shop import RunNeeds, Shop
from agent.engine.transactional import commit, conflicted
from agent.engine.under_way import UnderWay
from agent.errors import AgentError, Fenced, OutputInvalid, SequenceTaken, StoreError, VersionConflict
from agent.events import AgentEvent
from agent.models.payloads import Payload
from agent.models.trace import Trace
from agent.storage.protocols import TraceHead
from agent.storage.staging import StagedStates

logger = logging.getLogger("agent")


class Driver:
    """The owner of one run while it is driven here."""

    def __init__(
        self, shop: Shop, trace: Trace, state: RunState, *, epoch: int, needs: RunNeeds, before: TraceHead | None = None, delegate: Delegate | None = None
    ) -> None:
        self.shop, self.trace, self.state, self.epoch = shop, trace, state, epoch
        self.needs = needs
        self.takes_over = False  # the run was to be taken from a living owner, also those that carry out its calls
        self.feed = Feed(shop.config.watch_queue)
        self.error: BaseException | None = None
        self.ended = asyncio.Event()
        self.is_cancelling = False
        self.task: asyncio.Task[None] | None = None
        self.looking: asyncio.Future[None] | None = None  # a look at what others appended
        self.held: asyncio.Event | None = None  # set once a pause or a cancel that is being recorded here is on the log
        self._has_begun = self._is_let_go = self.is_appending = False
        self._requests: list[Payload] = []  # a pause or cancel of a run that has no log
        self.was_fenced = False
        self.rested: str | None = None  # the ending that this driver put into the trace
        self.on_news: Callable[[], None] | None = None
        self._heard = -1  # the largest sequence that the log was seen to have
        self._news = asyncio.Event()  # another process appended something
        worker = worker_of(shop.log)
        is_other_alive = before is not None and before.owner_is_alive and before.owner != worker
        self.decider = Decider(shop, trace, state.input, epoch=epoch, needs=needs, is_worker_alive=is_other_alive)
        self.below = Below(delegate, self)
        needs.has_lost_call = before is not None and before.trace.status == "running" and state.may_be_asking and may_be_billed(shop)
        self.calls = UnderWay(shop, trace, self.decider, self.below, worker=worker, worker_before=before.owner if before is not None else None)

    @property
    def ends_below(self) -> bool:
        """Whether the runs that carry out its calls end with it: it was cancelled, or its time is over. Else they are let go of."""
        is_over = self.is_cancelling or (self.decider.bounds is not None and self.decider.bounds.is_time_up)
        return is_over and not self._is_let_go and not self.was_fenced

    # ---- appending

    async def append(self, build: Callable[[Draft], None], *, staged: StagedStates | None = None) -> None:
        """Append what `build` drafts from the state, with what a transactional call staged. Another writer first: read on, draft anew.

        Raises:
            Fenced: another process took the run over.
            VersionConflict: what was staged met others' changes; nothing was written.
        """
        for _ in range(self.shop.config.max_append_attempts):
            self.is_appending = True  # also while it is held: what is to be recorded is let through
            try:
                while self.held is not None:
                    await self.held.wait()
                draft = Draft(self.trace.trace_id, self.epoch, self.state)
                build(draft)
                if not draft.steps and draft.status is None:  # what another writer appended leaves nothing to do
                    return
                changes = ending_changes(draft.status, draft.state) if draft.status else None
                if staged is None:
                    await self.shop.log.add_steps(self.trace.trace_id, draft.steps, epoch=self.epoch, changes=changes)
                else:
                    await commit(self.shop.log, self.trace.trace_id, draft.steps, staged, epoch=self.epoch, changes=changes)
            except SequenceTaken:
                await self.catch_up()
                continue
            finally:
                self.is_appending = False
            self.state = draft.state
            self.hear(self._heard)  # what was heard of while the append was under way
            self.rested = draft.status or self.rested
            if self.feed.has_watchers:
                self.feed.publish(*[event for step, state, payload in draft.told for event in tell(step, state, payload)])
            return
        raise StoreError(f"trace {self.trace.trace_id!r}: other writers were first {self.shop.config.max_append_attempts} times")

    async def catch_up(self) -> None:
        """Take in what others appended."""
        for step in await self.shop.log.read_steps(self.trace.trace_id, after=self.state.next_sequence - 1):
            self.state = advance(self.state, step)
            if self.feed.has_watchers:
                self.feed.publish(*tell(step, self.state))

    def hear(self, sequence: int) -> None:
        """Learn that the log has a step. While an append is under way it may be our own: then it is judged afterwards."""
        self._heard = max(self._heard, sequence)
        if self._heard >= self.state.next_sequence and not self.is_appending and self.on_news is not None:
            self.on_news()

    def notice(self) -> None:
        """Say that someone else appended to this run."""
        self._news.set()

    def request(self, payload: Payload) -> None:
        """Have the driver append a pause or cancel itself, at the next safe point."""
        self._requests.append(payload)
        self._news.set()

    def interrupt(self) -> None:
        """Stop what runs now: the run was cancelled. An append under way is let through first; a second call does nothing."""
        if self.is_cancelling:
            return
        self.is_cancelling = True
        self._news.set()
        if self.task is not None and self._has_begun and not self.is_appending:  # a task that never began would tell nobody of its end
            self.task.cancel()

    def let_go(self) -> None:
        """Have this process give the run up; whoever resumes it goes on from its log. A second call does nothing."""
        if self._is_let_go:
            return
        self._is_let_go = True
        if self.task is not None and self._has_begun:
            self.task.cancel()

    # ---- driving

    async def begin_with(self, payload: Payload) -> None:
        """Append one step before driving."""
        await self.append(lambda draft: draft.add(payload, *draft.state.tip))

    async def drive(self) -> None:
        """Go on until the run rests; never raises, `error` holds what went wrong."""
        self._has_begun = True
        try:
            if self._is_let_go:
                raise asyncio.CancelledError  # noqa: TRY301  as if it had come a moment later
            await self._guarded()
        except Fenced:
            self.was_fenced = True
            await self.calls.stop(0.0)
        except asyncio.CancelledError:  # let go of: its readers' streams end without an ending
            await asyncio.shield(self._abandon())
        except BaseException as error:  # noqa: BLE001  the reader of the run raises it
            self.error = error
            await self._abandon()
            data = {"trace_id": self.trace.trace_id, **totals(self.state), "error": str(error), "error_type": type(error).__name__}
            self.feed.publish(AgentEvent("trace_failed", data))
        finally:
            self.feed.end()
            self.ended.set()

    async def _guarded(self) -> None:
        try:
            await self._loop()
        except asyncio.CancelledError:
            if not self.is_cancelling:
                raise
            task = asyncio.current_task()
            while task is not None and task.cancelling():
                task.uncancel()
            await self._wind_up()
        except (Fenced, StoreError, GeneratorExit):
            await self.calls.stop(0.0)
            raise
        except BaseException as error:  # noqa: BLE001  a failure is a fact, then the reader's: also where a model or a tool wants to end the program
            await self._fail(error)

    async def _loop(self) -> None:
        await self.decider.compactor.look_first(self.state)
        while True:
            if self._news.is_set():
                await self._take_news()
            action = self.decider.next(self.state)
            kind = type(action)
            if kind is not Rest and kind is not Wait and not self.is_cancelling:  # by far the most
                await self._perform(action)
                continue
            if self.is_cancelling or (isinstance(action, Rest) and action.status == "cancelled"):
                await self._wind_up()
                return
            if isinstance(action, Rest) and (begun := self.state.announced_by(self.epoch)):
                action = Attend(begun)  # the pause came after they were announced: unrun, they would be in doubt
                await self.below.pause(begun)
            if isinstance(action, Wait) and (overdue := await self._overdue()) is not None:
                await self.append(overdue)
                continue
            if isinstance(action, Rest | Wait) and not self.calls:
                await self._rest("waiting" if isinstance(action, Wait) else action.status)
                return
            await self._perform(action)

    async def _overdue(self) -> Callable[[Draft], None] | None:
        """Return what drafts that requests expired, ask about another tool by now, or that suspended calls go on; None where all wait."""
        if expired_calls(self.state, now().timestamp()):
            return expire
        if self.decider.is_stale(self.state):
            return self.decider.draft_stale
        ready = await self.below.ready(self.epoch) if not self.calls else ()
        return functools.partial(self.decider.draft_again, calls=ready) if ready else None

    async def _take_news(self) -> None:
        self._news.clear()
        requests, self._requests = self._requests, []
        if requests:
            await self._append_all(requests)
        await self.catch_up()

    async def _perform(self, action: Action) -> None:
        match action:
            case CallModel(is_final, limit):
                await self._ask(limit if is_final else None)
            case Compact():
                await self._compact()
            case ReadMemory():
                await self._recall()
            case Attend(calls):
                await self._attend(calls)
            case MarkInDoubt(calls):
                await self._record(await self.calls.lost(self.state, calls))
            case Rest() | Wait():
                await self._attend(())
            case Fail(problem):
                raise OutputInvalid(f"the model's answer does not fit the output type: {problem}")
            case _:  # what needs no effect
                if self.decider.may_use_rules:
                    await self.decider.load_rules()
                await self.append(self.decider.draft)

    # ---- effects

    async def _ask(self, limit: str | None) -> None:
        """Ask the model; after a `limit` for its final answer."""
        if limit is None and self.decider.bounds is not None and await self.decider.bounds.is_day_over():
            return
        self._announce("llm_call")
        await asyncio.sleep(0)  # a quick model and a quick disk never wait: who watches is to hear of each step before the next
        asked_in = self.state
        asking = ask_model(self.shop, asked_in, self.needs, trace_id=self.trace.trace_id, limit=limit, tell=self.feed.publish)
        try:
            reply = await in_time(self.decider.bounds, asking, is_final=limit is not None)
        except Exception as error:
            if not await self._compact(error):
                raise
            return
        if reply is None:  # its time was over: it may be paid all the same
            self.needs.has_lost_call = may_be_billed(self.shop)
            return
        if self.decider.parted is not None:
            await self.decider.parted.refresh()
        if self.decider.may_use_rules and reply.tool_calls:
            await self.decider.load_rules()

        def build(draft: Draft) -> None:
            draft.add(reply, *asked_in.tip)
            following = self.decider.next(draft.state)
            if type(following) is Open or type(following) is Conclude:
                self.decider.draft(draft, following)  # the reply and what begins at once are one commit

        await self.append(build)
        self.decider.forget_settled(self.state)
        if (reply.prompt_tokens or 0) > self.decider.compactor.look_from:
            await self.decider.compactor.look(self.state)

    async def _compact(self, refusal: Exception | None = None) -> bool:
        """Fold the oldest turns: because it is time to, or because of the model's refusal. Return whether something was folded."""
        compactor, state, bounds = self.decider.compactor, self.state, self.decider.bounds
        if refusal is None:
            self._announce("compaction")
        folding = compactor.compact(state) if refusal is None else compactor.rescue(state, refusal)
        fact = await in_time(bounds, folding, is_final=bounds is not None and bounds.is_time_up)
        if fact is not None:
            await self._append_all([fact], *state.tip)
        return fact is not None and fact.error is None

    def _announce(self, step_type: str) -> None:
        if self.feed.has_watchers:
            self.feed.publish(AgentEvent("step_started", {"trace_id": self.trace.trace_id, "iteration": self.state.iterations, "step_type": step_type}))

    async def _recall(self) -> None:
        asked, memory = self.state.input, self.shop.memory
        read = WITHOUT_MEMORY if memory is None or asked is None else await memory.recall(self.trace, asked)
        await self.append(lambda draft: draft.add(read, *([draft.state.input_id] if draft.state.input_id else [])))

    async def _attend(self, calls: Sequence[CallState]) -> None:
        """Run the calls that were announced, until one of them (or of those that run already) has ended."""
        bounds = self.decider.bounds
        if bounds is not None and bounds.is_time_up:
            await self.calls.wind_up(self.state, self.shop.config.cancel_grace_s)
            await self._record_stopped("limit", bounds.outside)
            return
        if len(calls) == 1 and not self.calls and calls[0].subrun is None:
            if (outcome := await in_time(bounds, self.calls.run(self.state, calls[0]))) is not None:
                await self._record(outcome)
            return
        outcomes, stop = await self.calls.until_one_ends(self.state, calls, self._news)
        if outcomes:
            await self._record(outcomes)
        if stop is not None:
            raise stop.error

    async def _record(self, facts: Sequence[Payload]) -> None:
        transactional = [fact for fact in facts if isinstance(fact, said.ToolCall) and fact.call_id in self.calls.staged] if self.calls.staged else []
        if plain := [fact for fact in facts if fact not in transactional] if transactional else facts:
            await self._append_of_turn(plain)
        for fact in transactional:  # last: one that runs again is not to hold up what is done
            await self._commit(fact)

    async def _commit(self, fact: said.ToolCall) -> None:
        """Record the result of a transactional call together with its changes. Where others' changes were first it runs again."""
        call, attempts = self.state.call(fact.call_id), self.shop.config.max_state_attempts
        assert call is not None
        for attempt in range(attempts):
            if attempt:
                (fact,) = await self.calls.run(self.state, call)  # type: ignore[assignment]  # a transactional call is never in doubt
            staged = self.calls.staged.pop(fact.call_id, None)
            if staged is None:  # it failed this time, and changes nothing
                break
            try:
                await self._append_of_turn([fact], staged=staged)
            except VersionConflict:
                fact = stopped(call, self.decider.language) if self.is_cancelling else conflicted(call, attempts, self.decider.language)
            else:
                return
            if self.is_cancelling:
                break
        await self._append_of_turn([fact])

    async def _append_of_turn(self, facts: Sequence[Payload], *, staged: StagedStates | None = None) -> None:
        await self._append_all(facts, *([self.state.turn_id] if self.state.turn_id else []), staged=staged)

    async def _append_all(self, payloads: Sequence[Payload], *parents: str, staged: StagedStates | None = None, status: str | None = None) -> None:
        def build(draft: Draft) -> None:
            for payload in payloads:
                draft.add(payload, *parents)
            draft.status = status

        await self.append(build, staged=staged)

    # ---- endings

    async def _rest(self, status: str) -> None:
        if self.rested != status:  # an answer and a limit are set in the commit of their last step
            await self._append_all((), status=status)
        self.feed.publish(*tell_ending(self.trace.trace_id, self.state, status))

    async def _fail(self, error: BaseException) -> None:
        """Record a failure of the model or the program; the reader raises it."""
        await self.calls.stop(self.shop.config.cancel_grace_s)
        await self._record_stopped("crash")
        text, kind, action = self.shop.redactor.text(str(error)), type(error).__name__, self.decider.next(self.state)
        is_partial = isinstance(action, CallModel) and may_be_billed(self.shop, error)
        fact = said.Failure(error=text or kind, error_type=kind, action=type(action).__name__, cost_is_partial=is_partial)
        await self._append_all([fact], *self.state.tip, status="failed")
        self.feed.publish(*tell_ending(self.trace.trace_id, self.state, "failed"))
        self.error = error

    async def _wind_up(self) -> None:
        """Stop what runs after a cancel, and say of every started call what is known of it."""
        await self.calls.wind_up(self.state, self.shop.config.cancel_grace_s)
        await self._take_news()
        await self._record_stopped("cancel")
        await self._rest("cancelled")

    async def _record_stopped(self, cause: str, limit: Outside | None = None) -> None:
        if facts := await self.calls.left(self.state, cause, limit):
            await self._record(facts)

    async def _abandon(self) -> None:
        """The process lets go of the run: stop what runs, give the run up; whoever resumes it goes on from the log."""
        await self.calls.stop(0.0)
        try:
            if outcomes := self.calls.finished():
                await self._record([fact for outcome in outcomes.values() for fact in outcome])
            await self.shop.log.add_steps(self.trace.trace_id, (), epoch=self.epoch, changes={"owner": None})
        except AgentError:
            logger.debug("trace %s could not be given up", self.trace.trace_id, exc_info=True)
