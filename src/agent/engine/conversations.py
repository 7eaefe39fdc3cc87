"""Runs that go on from the messages of an earlier one: by reference, never by copy."""

from collections import OrderedDict

from agent.core.fold import fold, start
from agent.core.messages import Messages
from agent.core.prompt import continues_of, final_messages
from agent.core.state import CutResult, RunState, Source
from agent.errors import ConversationBusy
from agent.models.trace import ENDED, Step
from agent.models.value import Value, replace
from agent.storage.protocols import TraceLog


class Ended(Value, frozen=True, gc=False):
    """What a later run of a conversation goes on from."""

    messages: Messages
    untrusted: tuple[Source, ...] = ()  # where untrusted words in them came from
    cut: tuple[CutResult, ...] = ()  # results in them that can be read on


KEPT = 64  # conversations whose messages are kept in memory, so that each turn does not read all before it


class Conversations:
    """Finds the run to go on from, and the messages it ended with."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], Ended] = OrderedDict()

    async def latest(self, log: TraceLog, conversation_id: str, uid: str) -> tuple[str, int] | None:
        """Return (trace id, last sequence) of the conversation's newest run; None for a new conversation.

        Raises:
            ConversationBusy: that run has not ended.
        """
        found = await log.list_traces(uid=uid, conversation_id=conversation_id, limit=1)
        if not found:
            return None
        trace = found[0]
        if trace.status not in ENDED:
            raise ConversationBusy(f"conversation {conversation_id!r}: its run {trace.trace_id} is {trace.status}; resume or cancel it first")
        head = await log.head(trace.trace_id)
        return trace.trace_id, head.next_sequence - 1

    async def messages(self, log: TraceLog, place: tuple[str, int] | None) -> Messages | None:
        """Return the messages at a place."""
        ended = await self.ended(log, place)
        return ended.messages if ended is not None else None

    async def ended(self, log: TraceLog, place: tuple[str, int] | None) -> Ended | None:
        """Return what a run had come to at a place, reading back as far as nothing is known."""
        chain: list[tuple[tuple[str, int], list[Step]]] = []
        base: Ended | None = None
        while place is not None:
            if (base := self._known.get(place)) is not None:
                break
            steps = [step for step in await log.read_steps(place[0]) if step.sequence <= place[1]]
            chain.append((place, steps))
            place = continues_of(steps)
        for reached, steps in reversed(chain):
            base = self.remember(reached, fold(steps, start(base.messages if base is not None else None)))
        return base

    def remember(self, place: tuple[str, int], state: RunState) -> Ended:
        """Keep and return what a later run goes on from, of one that ended in `state`."""
        cut = tuple(one if one.trace_id else replace(one, trace_id=place[0]) for one in state.cut)
        ended = self._known[place] = Ended(final_messages(state), state.untrusted, cut)
        self._known.move_to_end(place)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return ended
