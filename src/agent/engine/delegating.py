"""What a run's driver and those who carry out its calls by runs of their own know of each other."""

from collections.abc import Container, Sequence
from typing import Protocol

import agent.models.payloads as said
from agent.core.state import CallState, RunState
from agent.engine.planning import Plan
from agent.engine.shop import RunNeeds, Shop
from agent.errors import ToolNotFound
from agent.models.payloads import Payload
from agent.models.trace import Trace
from agent.tools.context import ToolContext

STOPPED_S = 60.0
"""How long a cancelled run waits for the runs that carry out its calls to wind up, before it leaves them to end by themselves."""


class Caller(Protocol):
    """The driver of a run with a call that a sub-agent carries out."""

    shop: Shop
    trace: Trace
    state: RunState
    needs: RunNeeds
    takes_over: bool  # it was to take its run from a living owner: also the runs below

    @property
    def ends_below(self) -> bool:
        """Whether the runs below are cancelled when their calls are stopped, rather than let go of."""
        ...


class Delegate(Protocol):
    """Carries out calls by runs of their own."""

    async def carry_out(self, caller: Caller, call: CallState, plan: Plan, context: ToolContext) -> said.ToolCall | said.Subrun:
        """Begin or go on with the call's run, until it has an answer or rests without one.

        Where `context.cancelled` goes up the run is cancelled with its caller's (`ends_below`), or else let go of.
        """
        ...

    async def pause(self, calls: Sequence[CallState], by: str | None, uid: str | None) -> None:
        """Have the runs of calls rest at their next safe point."""
        ...

    async def ready(self, state: RunState, epoch: int) -> tuple[CallState, ...]:
        """Return the suspended calls whose runs can go on, or have ended: for the owner with `epoch`."""
        ...

    async def is_abandoned(self, trace_id: str) -> bool:
        """Return whether a run carries out a call of a run that was cancelled; it is cancelled then, too."""
        ...

    def stopped(self, call: CallState, language: str) -> said.ToolCall:
        """Return the step of a call whose run was cancelled with its caller's before it had rested."""
        ...


def check_declared(shop: Shop, state: RunState) -> None:
    """Refuse to go on with a run whose agents at work are not known here: its model would be told that there are none.

    Raises:
        ToolNotFound: names the first one, and the run that carries out its call.
    """
    for call in state.turn:
        name = call.call.name
        if call.subrun is not None and call.result is None and (name not in shop.tools or shop.tools.get(name).agent is None):
            raise ToolNotFound(name, f"the run {call.subrun.trace_id} carries out a call of this agent: register it (add_agent) to go on")


class Below:
    """The runs that carry out the calls of one run, as its driver sees them."""

    def __init__(self, delegate: Delegate | None, caller: Caller) -> None:
        self._delegate, self._caller = delegate, caller

    async def carry_out(self, call: CallState, plan: Plan, context: ToolContext) -> said.ToolCall | said.Subrun:
        """Begin or go on with the run of a call, until it has an answer or rests without one."""
        assert self._delegate is not None
        return await self._delegate.carry_out(self._caller, call, plan, context)

    async def ready(self, epoch: int) -> tuple[CallState, ...]:
        """Return the suspended calls whose runs can go on, or have ended."""
        state = self._caller.state
        if self._delegate is None or not any(call.is_suspended for call in state.turn):
            return ()
        return await self._delegate.ready(state, epoch)

    async def pause(self, calls: Sequence[CallState]) -> None:
        """Have the runs of calls rest with the run that made these."""
        if self._delegate is not None:
            await self._delegate.pause(calls, self._caller.state.stopped_by, self._caller.trace.uid)

    def stopped(self, known: Container[str]) -> list[Payload]:
        """Return the steps of calls whose runs were cancelled with this one, but for those whose outcome is known."""
        state, delegate = self._caller.state, self._delegate
        language = state.input.language if state.input is not None else "en"
        begun = [c for c in state.turn if c.subrun is not None and c.result is None and c.started_epoch is not None and c.call.call_id not in known]
        return [delegate.stopped(c, language) for c in begun] if delegate is not None else []
