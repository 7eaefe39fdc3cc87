"""Traces and steps: the record of a run, and one fact in it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from agent.clock import as_utc, now
from agent.ids import new_id
from agent.models.value import Value

FORMAT = 2
"""The version of the format that this program writes; it reads this one and all before it. 2: the seal covers the fields of the trace."""

Status = Literal["running", "waiting", "paused", "completed", "limit_reached", "cancelled", "failed"]
PROOF = "seasoned:proof"
"""The entry in the context of a run that was made to prove an item of memory: the item's id. Nothing is learnt from such a run."""
ENDED: frozenset[str] = frozenset({"completed", "limit_reached", "cancelled", "failed"})


class Trace(Value, frozen=True, kw_only=True, gc=False):
    """The record of one run. Status and totals are a cache of its steps."""

    trace_id: str
    mode: str = "agent"  # agent: a loop; call: one model call
    task: str | None = None
    agent_type: str | None = None
    uid: str | None = None
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    status: str = "running"
    created_at: datetime = msgspec.field(default_factory=now)
    completed_at: datetime | None = None
    total_tokens: int = 0
    total_cost: float | None = 0.0  # USD; what is known of it
    cost_is_partial: bool = False  # at least one call's cost is unknown
    waiting_calls: int = 0  # how many calls wait for a person, as of when the run last rested
    conversation_id: str | None = None
    parent_trace_id: str | None = None  # of a sub-agent's run, or of a fork
    fork_at: int | None = None  # of a fork: the last sequence it inherits from its parent; its own steps follow
    format: int = FORMAT
    signalled: int = -1  # the largest sequence of a step that memory may learn from; only grows
    learnt: int = -1  # up to where memory has learnt from it; only grows

    @classmethod
    def create(
        cls,
        mode: str = "agent",
        task: str | None = None,
        agent_type: str | None = None,
        uid: str | None = None,
        context: dict[str, Any] | None = None,
        **fields: Any,
    ) -> "Trace":
        """Return a new running trace with a fresh id."""
        return cls(
            trace_id=fields.pop("trace_id", None) or new_id(), mode=mode, task=task, agent_type=agent_type, uid=uid, context=dict(context or {}), **fields
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; moments as ISO 8601."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


class Step(Value, frozen=True, gc=False):
    """One fact of a run: appended once, never changed.

    `data` is a plain dict; read it through `agent.models.payloads.payload_of`. `parent_ids` say what the step rests on.
    """

    step_id: str
    trace_id: str
    step_type: str
    sequence: int
    parent_ids: Sequence[str] = ()
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    created_at: datetime = msgspec.field(default_factory=now)
    epoch: int = 0  # which owner of the run wrote it; 0: nobody in particular

    @classmethod
    def create(
        cls,
        trace_id: str,
        step_type: str,
        sequence: int,
        data: dict[str, Any] | None = None,
        parent_ids: Sequence[str] | None = None,
        *,
        step_id: str | None = None,
        created_at: datetime | None = None,
    ) -> "Step":
        """Return a new step with a fresh id; a naive `created_at` is local time."""
        return cls(
            step_id or new_id(),
            trace_id,
            step_type,
            sequence,
            tuple(parent_ids or ()),
            data if data is not None else {},
            as_utc(created_at) if created_at else now(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; moments as ISO 8601, bytes as base64."""
        out: dict[str, Any] = msgspec.to_builtins(self)
        return out


def step_id_of(trace_id: str, sequence: int) -> str:
    """Return the id of a step whose caller chose none: it is derived, not stored."""
    return f"{trace_id}/{sequence}"


def subrun_id_of(trace_id: str, call_id: str) -> str:
    """Return the id of the run that carries out a call of a run: the same at every attempt, so that there is never a second one."""
    return f"{trace_id}.{call_id}"


def is_subrun(trace: Trace) -> bool:
    """Whether a trace is a sub-agent's run, carrying out a call of its parent."""
    return trace.parent_trace_id is not None and trace.trace_id.startswith(f"{trace.parent_trace_id}.")


def proof_of(trace: Trace) -> str | None:
    """Return the id of the item that a run is a proof of, one side of it; None for any other run."""
    item_id = trace.context.get(PROOF)
    return item_id if isinstance(item_id, str) else None


def root_id_of(trace_id: str) -> str:
    """Return the id of the run that nobody called: the one to resume, so that a sub-agent's run and all above it go on."""
    return trace_id.partition(".")[0]


def sequence_of(trace_id: str, step_id: str) -> int | None:
    """Return the sequence in a derived step id of this trace; None for an id that a caller chose."""
    head, _, tail = step_id.rpartition("/")
    return int(tail) if head == trace_id and tail.isdecimal() and tail.isascii() else None
