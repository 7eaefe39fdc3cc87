"""Checking what is on the record, and erasing what steps said so that the check still holds."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer

from agent.cli.listing import when_text
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import PAGE, Place, find_trace, opened
from agent.cli.visible import one_line
from agent.errors import BadInput, StoreUnusable, TraceNotFound
from agent.models.value import Value
from agent.storage.protocols import Erasure, Store, Verified

MEMORY = "memory"
"""Stands for the memory where heads are listed: no run has this id."""


class Checking(Value, frozen=True, kw_only=True):
    """What is asked of `seasoned runs verify`."""

    wanted: str | None = None
    head: str | None = None
    heads: Path | None = None
    memory: bool = False
    prints_heads: bool = False
    is_json: bool = False


class _Tally:
    """Tells of each check, and counts."""

    def __init__(self, asked: Checking) -> None:
        self.asked = asked
        self.bad = self.count = 0

    def take(self, trace_id: str, found: Verified | None, fault: str | None) -> None:
        """Tell of one run, or of the memory."""
        self.count += 1
        self.bad += fault is not None
        if self.asked.is_json:
            head = found.head if found else None
            erased = [_erasure_data(erasure) for erasure in found.erased] if found else []
            entries = found.entries if found else 0
            say_json({"trace_id": trace_id, "is_intact": fault is None, "steps": entries, "head": head, "erased": erased, "fault": fault})
            return
        if fault is not None:
            say(fault if trace_id in fault or trace_id == MEMORY else f"run {trace_id} goes on from one that was changed: {fault}")
        elif found is not None and self.asked.prints_heads:
            say(f"{trace_id} {found.head}")
        elif found is not None and self.is_single:
            what = "the memory: all {} entries are" if trace_id == MEMORY else f"run {trace_id}: all {{}} steps are"
            say(f"{what.format(found.entries)} as they were recorded")
        for erasure in found.erased if found and not self.asked.prints_heads else ():
            say(f"{'the memory' if trace_id == MEMORY else f'run {trace_id}'}: {_erasure_text(erasure)}")

    @property
    def is_single(self) -> bool:
        """Whether one thing was asked about."""
        return self.asked.wanted is not None or self.asked.memory

    def close(self) -> None:
        """Tell of all together."""
        if not self.is_single and not self.asked.is_json:
            (tell if self.asked.prints_heads else say)(f"{self.count - self.bad} of {self.count} runs are as they were recorded")


async def verify_runs(place: Place, asked: Checking) -> int:
    """Check one run, all of this uid's, the memory, or what a list of heads names; return 1 where one was changed."""
    kept = dict(_kept_heads(asked.heads)) if asked.heads is not None else {}
    tally = _Tally(asked)
    async with opened(place) as store:
        for trace_id in await _asked_ids(store, place, asked, kept):
            try:
                tally.take(trace_id, await _check(store, place, trace_id, asked.head or kept.get(trace_id)), None)
            except StoreUnusable as error:
                tally.take(trace_id, None, str(error))
            except TraceNotFound:
                tally.take(trace_id, None, f"trace {trace_id!r} is gone: its head was kept, but {place.uid!r} has no such run (any more): removed, or pruned")
    tally.close()
    return 1 if tally.bad else 0


async def _asked_ids(store: Store, place: Place, asked: Checking, kept: Mapping[str, str]) -> list[str]:
    if asked.memory:
        return [MEMORY]
    if asked.wanted is not None:
        return [(await find_trace(store.traces, asked.wanted, place.uid)).trace_id]
    ids = await _all_ids(store, place.uid)
    there = set(ids)
    return [*ids, *(trace_id for trace_id in kept if trace_id not in there)]


async def _check(store: Store, place: Place, trace_id: str, head: str | None) -> Verified:
    if trace_id == MEMORY:
        return await store.memories.verify(head=head)
    if await store.traces.get_trace(trace_id, uid=place.uid) is None:
        raise TraceNotFound(trace_id)
    return await store.traces.verify(trace_id, head=head)


def _kept_heads(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = (sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(path)!r} cannot be read: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        words = _head_of_json(line) if line.lstrip().startswith("{") else tuple(line.split())
        if len(words) != 2:  # noqa: PLR2004
            raise BadInput(f"line {number} of {str(path)!r} is no head: each line has an id and a head, as `runs verify --print-head` writes them")
        yield words[0], words[1]


def _head_of_json(line: str) -> tuple[str, ...]:
    try:
        kept = json.loads(line)
    except ValueError:
        return ()
    return tuple(str(kept[name]) for name in ("trace_id", "head") if kept.get(name))


def _erasure_data(erasure: Erasure) -> dict[str, object]:
    what = {"item_id": erasure.item_id} if erasure.item_id is not None else {"steps": list(erasure.sequences)}
    return {**what, "by": erasure.by, "at": erasure.at.isoformat(), "reason": erasure.reason}


def _erasure_text(erasure: Erasure) -> str:
    steps = ", ".join(str(n) for n in erasure.sequences)
    what = f"{erasure.item_id} was forgotten" if erasure.item_id is not None else f"what step {steps} said was erased"
    why = f": {one_line(erasure.reason, 200)}" if erasure.reason else ""
    return f"{what} by {one_line(erasure.by or 'somebody', 60)}, {when_text(erasure.at)}{why}"


async def _all_ids(store: Store, uid: str) -> list[str]:
    ids: list[str] = []
    before: str | None = None
    while page := await store.traces.list_traces(uid=uid, limit=PAGE, before=before):
        ids += [trace.trace_id for trace in page]
        before = page[-1].trace_id
    return ids


async def erase_steps(place: Place, wanted: str, sequences: list[int] | None, *, reason: str, by: str | None, is_sure: bool) -> None:
    """Erase what steps of a run said (all of them with None), after asking on a terminal.

    Raises:
        BadInput: it may go on, or nobody can be asked.
    """
    async with opened(place) as store:
        trace = await find_trace(store.traces, wanted, place.uid)
        which = sequences if sequences is not None else list(range((await store.traces.head(trace.trace_id)).next_sequence))
        if not is_sure:
            what = f"what {'all' if sequences is None else len(which)} steps of run {trace.trace_id} said"
            if not sys.stdin.isatty():
                raise BadInput(f"{what} would be erased for good: say --yes")
            if not typer.confirm(f"Erase {what} for good?", err=True):
                raise typer.Exit(1)
        gone = await store.traces.erase(trace.trace_id, which, reason=reason, by=by)
    tell(f"what {len(gone)} steps of run {trace.trace_id} said was erased; the run's chain still holds")
