"""`transactional` calls: what they do to states is staged, and committed with their result."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import agent.models.payloads as said
from agent.core.calls import safe_name
from agent.core.state import CallState
from agent.core.wording import wording
from agent.engine.log import RunLog
from agent.engine.planning import Plan
from agent.engine.shop import Shop
from agent.errors import Unsupported
from agent.models.trace import Step, Trace
from agent.storage.staging import StagedStates, StagingStates, StateLog
from agent.tools.context import ToolContext


def check_transactional(shop: Shop, names: Iterable[str]) -> None:
    """Refuse to drive a run with transactional tools where their changes cannot be one commit with their results.

    Raises:
        Unsupported: says of which tool, and what is missing.
    """
    name = next((n for n in names if n in shop.tools and shop.tools.get(n).effect == "transactional"), None)
    if name is None:
        return
    if shop.states is None:
        missing = "the runner has no state store: give it state_store=store.states of the store whose traces it uses"
    elif not isinstance(shop.log, StateLog):
        missing = f"{type(shop.log).__name__} cannot commit states together with steps: use traces and states of one agent.open_store(...)"
    elif not isinstance(shop.states, StagingStates) or not shop.log.keeps(shop.states):
        missing = "traces and states do not lie in one database: use both of one agent.open_store(...)"
    else:
        return
    raise Unsupported(f"the tool {name!r} is transactional, and {missing}")


def stage_for(shop: Shop, trace: Trace, plan: Plan, context: ToolContext) -> StagedStates | None:
    """Give a transactional call its own view of the states, and return that; None for any other call."""
    if plan.tool is None or plan.tool.effect != "transactional":
        return None
    assert isinstance(shop.states, StagingStates), "checked when the run began"
    staged = context.state = shop.states.stage(uid=trace.uid)
    return staged


async def commit(log: RunLog, trace_id: str, steps: Sequence[Step], staged: StagedStates, *, epoch: int, changes: Mapping[str, Any] | None) -> None:
    """Append steps and make the staged changes, in one commit.

    Raises:
        VersionConflict: a state that the call saw is another one by now; nothing was written.
    """
    assert isinstance(log, StateLog), "checked when the run began"
    await log.add_steps_and_states(trace_id, steps, staged, epoch=epoch, changes=changes)


def conflicted(call: CallState, attempts: int, language: str) -> said.ToolCall:
    """Return the step of a call whose changes met others' every time; none of them was made."""
    return said.ToolCall(
        call_id=call.call.call_id,
        tool_name=safe_name(call.call.name),
        result=wording("state_conflict", language, attempts=attempts),
        is_ok=False,
        error_type="VersionConflict",
    )
