"""What the runs that a fork comes from did after it parted from them: an effect of theirs is not made again unasked."""

import contextlib
from typing import NamedTuple

import agent.models.payloads as said
from agent.core.fold import advance, start
from agent.core.state import CallState, RunState
from agent.core.wording import wording
from agent.engine.planning import Plan, refused_before, request_for
from agent.errors import StoreUnusable, ToolArgumentsInvalid
from agent.models.digest import canonical_hash
from agent.models.payloads import payload_of
from agent.models.trace import Step, Trace
from agent.models.value import replace
from agent.storage.lineage import MAX_FORK_DEPTH
from agent.storage.protocols import TraceLog
from agent.tools.arguments import Parsed, parse_arguments
from agent.tools.context import ToolContext
from agent.tools.tool import Tool


class Made(NamedTuple):
    """A call that a run began, which a fork of it does not have as settled."""

    step: Step  # that announced it
    call: CallState


class Ancestor:
    """One of the runs that a fork comes from, and what it did after the fork parted from it."""

    def __init__(self, trace_id: str, last: int) -> None:
        self.trace_id, self.last = trace_id, last
        self.made: dict[str, Made] = {}  # by call id
        self._state: RunState = start()

    async def refresh(self, log: TraceLog) -> None:
        """Read on where the last look ended."""
        for step in await log.read_steps(self.trace_id, after=self._state.next_sequence - 1):
            before, self._state = self._state, advance(self._state, step)
            self._take(step, before)

    def _take(self, step: Step, before: RunState) -> None:
        fact = payload_of(step)
        if isinstance(fact, said.ToolStarted) and (call := before.call(fact.call_id)) is not None:
            self.made[fact.call_id] = Made(step, call)
        elif isinstance(fact, said.ToolCall) and (step.sequence <= self.last or (not fact.is_executed and not fact.is_ok)):
            self.made.pop(fact.call_id, None)  # the fork has it; or it is known to have had no effect


class Parted:
    """Asks a person before a fork makes an `unsafe` call that a run it comes from made after they parted."""

    def __init__(self, log: TraceLog, ancestors: list[Ancestor]) -> None:
        self._log, self._ancestors = log, ancestors

    async def refresh(self) -> None:
        """Take in what those runs did since the last look: they may still be going on."""
        for ancestor in self._ancestors:
            await ancestor.refresh(self._log)

    def context(self, context: ToolContext) -> ToolContext:
        """Return what a tool may know of a call that the fork inherited: its step and its key are those that it had."""
        sequence = int(context.call_id.partition(".")[0])
        owners = [ancestor.trace_id for ancestor in self._ancestors if sequence <= ancestor.last]  # the nearest first: the last one wrote it
        if owners:
            context.step_id, context.idempotency_key = f"{owners[-1]}/{sequence}", f"{owners[-1]}/{context.call_id}"
        return context

    def checked(self, plan: Plan, state: RunState, call: CallState, language: str) -> Plan:
        """Return the plan of a call that nothing has been decided about: to ask, where such a call was made already."""
        if plan.kind == "refuse" or plan.tool is None or not is_unsafe(plan.tool):
            return plan
        found = self.found(plan.tool, call.call.name, plan.arguments)
        if found is None:
            return plan
        also = plan.request.detail if plan.request is not None else plan.warning
        detail = told_of(found) if also is None else f"{told_of(found)} {also}"
        request = request_for(plan.tool, call, Parsed(plan.arguments, not plan.is_as_asked), "policy", detail)
        if again := refused_before(state, request):
            return Plan(kind="refuse", message=wording(again, language), error_type="Rejected")
        return replace(plan, kind="ask", request=request)

    def found(self, tool: Tool | None, name: str, arguments: dict[str, object]) -> Made | None:
        """Return the call of this tool with these arguments that was made, the latest one; None where there is none."""
        wanted = canonical_hash(arguments)
        made = [m for ancestor in self._ancestors for m in ancestor.made.values() if m.call.call.name == name]
        return next((m for m in reversed(made) if wanted in _hashes(tool, m.call)), None)


def is_unsafe(tool: Tool) -> bool:
    """Whether a call of the tool is not to be made a second time unasked; whatever an agent's tools are, its call may be."""
    return tool.effect == "unsafe" or (tool.agent is not None and tool.effect != "read")


def _hashes(tool: Tool | None, call: CallState) -> set[str]:
    """Return the fingerprints of a call's arguments as they stood, and as the tool reads them."""
    found = {canonical_hash(call.arguments)}
    if tool is not None:
        with contextlib.suppress(ToolArgumentsInvalid):
            found.add(canonical_hash(parse_arguments(tool, dict(call.arguments)).arguments))
    return found


def told_of(made: Made) -> str:
    """Return what a person is told of a call that was made already."""
    at = f"{made.step.created_at:%Y-%m-%d %H:%M:%S} UTC"
    where = f"run {made.step.trace_id}, which this one was forked from"
    return f"{where}, made this call already (step {made.step.sequence}, {at}): it would be made a second time."


async def parted(log: TraceLog, trace: Trace) -> Parted:
    """Return what is known of the runs that a fork comes from, read up to now.

    Raises:
        StoreUnusable: one of them is missing.
    """
    ancestors: list[Ancestor] = []
    child, last = trace, trace.fork_at
    while child.fork_at is not None and child.parent_trace_id is not None and last is not None:
        last = min(last, child.fork_at)
        ancestors.append(Ancestor(child.parent_trace_id, last))
        parent = await log.get_trace(child.parent_trace_id)
        if parent is None or len(ancestors) > MAX_FORK_DEPTH:
            raise StoreUnusable(f"trace {trace.trace_id!r} rests on {child.parent_trace_id!r}, which is not there: restore a backup")
        child = parent
    found = Parted(log, ancestors)
    await found.refresh()
    return found
