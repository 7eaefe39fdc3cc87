"""A call that waits for a person."""

from datetime import datetime
from typing import Any

from agent.models.value import Value


class Asker(Value, frozen=True, kw_only=True):
    """A call that a sub-agent's run carries out: in whose run, of which kind of agent, it was asked for."""

    trace_id: str
    call_id: str
    tool_name: str  # the name that the sub-agent has for those who call it
    agent_type: str | None = None  # of the run that asked


class Approval(Value, frozen=True, kw_only=True):
    """A request in the inbox, or (after deciding) what became of it."""

    trace_id: str
    call_id: str  # ours, unique in the trace
    tool_name: str
    arguments: dict[str, Any]  # as asked for
    args_hash: str
    reason: str  # an open set: confirmation in_doubt manual policy taint repaired_arguments
    detail: str | None = None
    editable_params: tuple[str, ...] = ()
    asked_at: datetime | None = None
    expires_at: datetime | None = None
    uid: str | None = None
    attempt: int = 1
    worker: str | None = None  # of a call in doubt: who had started it
    verdict: str | None = None
    decided_by: str | None = None
    asked_by: tuple[Asker, ...] = ()  # where a sub-agent asks: the calls that led to it, root first
