"""Traces and steps for the contracts of traces."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from agent.models.trace import Step, Trace, step_id_of
from agent.storage.protocols import TraceLog, TraceStore

MOMENT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)


def fact(trace: Trace | str, sequence: int, step_type: str = "note", *, parents: Sequence[str] = (), step_id: str | None = None, **data: Any) -> Step:
    """Return a step whose id is derived, unless one is given."""
    trace_id = trace if isinstance(trace, str) else trace.trace_id
    return Step(step_id or step_id_of(trace_id, sequence), trace_id, step_type, sequence, tuple(parents), data, MOMENT)


def sequences(steps: Sequence[Step]) -> list[int]:
    """Return the sequences of steps, in their order."""
    return [step.sequence for step in steps]


async def recorded(store: TraceStore, **fields: Any) -> Trace:
    """Return a new trace, recorded by the seed's method."""
    trace = Trace.create(**fields)
    await store.create_trace(trace)
    return trace


async def opened(store: TraceLog, steps: Sequence[Step] = (), **fields: Any) -> Trace:
    """Return a new trace, opened with steps; those of trace "" become its own."""
    trace = Trace.create(**fields)
    own = [
        Step(
            s.step_id if s.step_id[:1] != "/" else step_id_of(trace.trace_id, s.sequence),
            trace.trace_id,
            s.step_type,
            s.sequence,
            _own(trace, s),
            s.data,
            s.created_at,
        )
        for s in steps
    ]
    await store.open_trace(trace, own)
    return trace


def _own(trace: Trace, step: Step) -> tuple[str, ...]:
    return tuple(trace.trace_id + parent if parent[:1] == "/" else parent for parent in step.parent_ids)


def a_run(trace_id: str) -> list[Step]:
    """Return the steps of a small run as an engine records them: lean."""
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    return [
        fact(trace_id, 0, "input", task="Weather?", system="You are brief. " * 10, model="m", tools=["weather"]),
        fact(trace_id, 1, "llm_call", parents=["/0"], response="", tool_calls=[call]),
        fact(trace_id, 2, "tool_started", parents=["/1"], call_id="1.0"),
        fact(trace_id, 3, "tool_call", parents=["/1"], call_id="1.0", tool_name="weather", result="sunny"),
        fact(trace_id, 4, "llm_call", parents=["/1", "/3"], response="Sunny."),
        fact(trace_id, 5, "conclusion", parents=["/4"], reply=4),
    ]


async def restored_one_by_one(store: TraceLog, trace_id: str) -> list[Step]:
    """Return all steps of a trace without gaps, each by `get_step`."""
    return [await store.get_step(trace_id, step_id_of(trace_id, n)) for n in range((await store.head(trace_id)).next_sequence)]


async def listed(store: TraceLog, **wanted: Any) -> list[str]:
    """Return the ids of `list_traces`."""
    return [trace.trace_id for trace in await store.list_traces(**wanted)]


def digest_of(data: bytes) -> str:
    """Return a blob's hash: the first 16 bytes of its SHA-256, in hex."""
    return sha256(data).digest()[:16].hex()
