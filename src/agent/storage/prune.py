"""Which traces may be removed: those that have ended and are old, unless a trace that stays goes on from them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Self

from agent.clock import as_utc, to_ms
from agent.errors import BadInput
from agent.models.trace import ENDED


class Standing(NamedTuple):
    """A trace as pruning sees it; `no` is the order in which traces were recorded."""

    no: int
    trace_id: str
    parent: str | None
    conversation: str | None


class Wanted(NamedTuple):
    """Which traces are to be removed."""

    before_ms: int
    uid: str | None
    statuses: frozenset[str]

    @classmethod
    def of(cls, before: datetime, uid: str | None, statuses: Sequence[str]) -> Self:
        """Return what a caller asked for; a naive moment is local time.

        Raises:
            BadInput: a status is none at which a run has ended.
        """
        if isinstance(statuses, str) or not isinstance(statuses, Collection) or not all(isinstance(status, str) for status in statuses):
            raise BadInput(f"statuses is {statuses!r:.100}: it is to be a list of texts")
        living = sorted(set(statuses) - ENDED)
        if living:
            raise BadInput(f"traces that are {', '.join(living)} have not ended and are not pruned; these may be: {', '.join(sorted(ENDED))}")
        return cls(to_ms(as_utc(before)), uid, frozenset(statuses))


def is_awaited(trace_id: str, parent_id: str | None, parent: tuple[str, int, str | None] | None, wanted: Wanted) -> bool:
    """Whether a trace is a sub-agent's run whose caller stays and may go on: it would find no trace of what was done, and do it again.

    `parent` is the caller's status, when it was recorded (milliseconds), and its uid; None where it is not there any more.
    """
    if parent is None or not trace_id.startswith(f"{parent_id}."):
        return False
    status, created, uid = parent
    goes = status in wanted.statuses and created < wanted.before_ms and wanted.uid in (None, uid)
    return status not in ("completed", "cancelled") and not goes


def removable(old: Iterable[Standing], standing: Iterable[Standing]) -> list[str]:
    """Return ids of `old` that may go, newest first. `standing` are all traces with a parent or a conversation."""
    going = {trace.trace_id: trace for trace in sorted(old, reverse=True)}
    standing = list(standing)
    while kept := _needed(going, [trace for trace in standing if trace.trace_id not in going]):
        for trace_id in kept:
            del going[trace_id]
    return list(going)


def _needed(going: Mapping[str, Standing], staying: Iterable[Standing]) -> set[str]:
    parents, newest = set[str](), dict[str, int]()
    for trace in staying:
        if trace.parent is not None:
            parents.add(trace.parent)
        if trace.conversation is not None:
            newest[trace.conversation] = max(trace.no, newest.get(trace.conversation, 0))
    return {
        trace_id
        for trace_id, trace in going.items()
        if trace_id in parents or (trace.conversation is not None and newest.get(trace.conversation, 0) > trace.no)
    }
