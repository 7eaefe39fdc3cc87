"""Where a fork's steps come from: its own, and before them those of its parent up to a sequence, and so on."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from agent.errors import BadInput, StepNotFound, StoreUnusable, TraceNotFound
from agent.models.trace import Trace, step_id_of

MAX_FORK_DEPTH = 1_000
"""So many forks of forks a trace may be away from the one that was begun afresh."""


class Origin(NamedTuple):
    """Whose a trace is, and what it inherits; without `fork_at` nothing."""

    uid: str | None
    parent: str | None
    fork_at: int | None


class Segment(NamedTuple):
    """A part of a run: the steps that one trace holds up to `last` (None: all of them)."""

    trace_id: str
    last: int | None


class Origins(Protocol):
    """What is to be known of traces so that their lineage can be told."""

    def origin(self, trace_id: str) -> Origin | None:
        """Return where a trace comes from, and whose it is; None where there is no such trace."""
        ...

    def link(self, trace_id: str, sequence: int) -> bytes | None:
        """Return the hash of a step of the trace's own."""
        ...


def lineage(rows: Origins, trace_id: str) -> list[Segment]:
    """Return the parts of a run, the oldest first; of a trace that is no fork, itself alone.

    Raises:
        StoreUnusable: the traces go round in a circle, or are too many.
    """
    parts: list[Segment] = [Segment(trace_id, None)]
    origin = rows.origin(trace_id)
    while origin is not None and origin.fork_at is not None and origin.parent is not None:
        if len(parts) > MAX_FORK_DEPTH:
            raise StoreUnusable(f"trace {trace_id!r} rests on more than {MAX_FORK_DEPTH} others: its lineage is damaged, restore a backup")
        last = parts[-1].last
        parts.append(Segment(origin.parent, origin.fork_at if last is None else min(last, origin.fork_at)))
        origin = rows.origin(origin.parent)
    return parts[::-1]


def seam(rows: Origins, trace_id: str) -> bytes:
    """Return the hash of the last step that a fork inherits: its own chain goes on from there.

    Raises:
        StepNotFound: it is not there any more.
    """
    parts = lineage(rows, trace_id)
    at = parts[-2].last
    assert at is not None
    found = link_at(rows, parts, at)
    if found is None:
        raise StepNotFound(step_id_of(parts[-2].trace_id, at), f"the fork {trace_id!r} goes on from it")
    return found


def check_fork(rows: Origins, trace: Trace) -> None:
    """Refuse a fork of what is not there, is another uid's, or is too deep.

    Raises:
        TraceNotFound, StepNotFound, BadInput: says which.
    """
    parent, at = trace.parent_trace_id, trace.fork_at
    assert parent is not None
    assert at is not None
    origin = rows.origin(parent)
    if origin is None or origin.uid != trace.uid:
        raise TraceNotFound(parent, "a fork was to go on from it")
    parts = lineage(rows, parent)
    if len(parts) > MAX_FORK_DEPTH:
        raise BadInput(f"trace {parent!r} is the last of {MAX_FORK_DEPTH} forks of forks: fork one of those it comes from")
    if link_at(rows, parts, at) is None:
        raise StepNotFound(step_id_of(parent, at), f"trace {parent!r} has no step {at}, so nothing can go on from it")


def link_at(rows: Origins, parts: Sequence[Segment], sequence: int) -> bytes | None:
    """Return the hash of the step that a run has at a sequence, or None."""
    part = part_with(parts, sequence)
    return rows.link(part.trace_id, sequence)


def part_with(parts: Sequence[Segment], sequence: int) -> Segment:
    """Return the part of a run in which a sequence lies."""
    return next((part for part in parts if part.last is not None and sequence <= part.last), parts[-1])
