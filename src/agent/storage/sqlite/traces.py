"""The record of runs on SQLite."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.errors import BadInput, Fenced, StoreError, TraceNotFound
from agent.models.trace import Step, Trace, step_id_of
from agent.storage import liveness, restore
from agent.storage.arguments import checks_arguments
from agent.storage.codec import Coded, encode_step, encode_steps
from agent.storage.fields import checked_changes, checked_trace
from agent.storage.portable import Carried, arrivals, carried_of
from agent.storage.protocols import TraceHead, Usage, Verified
from agent.storage.prune import Wanted
from agent.storage.sqlite import append, carrying, evidence, rows, upkeep, usage
from agent.storage.sqlite.backup import copy
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.journal import empty_journal
from agent.storage.sqlite.states import SqliteStateStore
from agent.storage.sqlite.writer import PULSE_S, Change
from agent.storage.staging import StagedStates

SMALL_PAGE = 64
"""A page of at most so many steps may be read on the event loop."""


@checks_arguments(unless=frozenset({"add_steps"}), unicode_only=True)
class SqliteTraceStore:
    """Traces in a `Database`, which other stores may share. `close` gives up what is driven; it leaves the database open."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._driven: dict[str, asyncio.AbstractEventLoop] = {}  # traces that this store owns, and where: while there are any, the writer beats
        self.owner = liveness.new_owner(self._driven)
        self._tips: dict[str, append.Tip] = {}  # ends of the traces that are driven here
        self._next_beat = 0.0
        self._counts = False  # the indexes for `usage_since` are there
        database.writer.pulse = self._pulse

    async def close(self) -> None:
        """Stop counting as alive: what is still running here may be taken over at once."""
        liveness.release(self.owner)
        self._driven.clear()
        self.database.drivers = 0
        self.database.writer.pulse = None
        if self._next_beat:
            self._next_beat = 0.0
            with contextlib.suppress(StoreError):  # a full disk is no reason to stay open; the beat will be over by itself
                await self.database.write(lambda db: db.execute("delete from process where owner=?", (self.owner,)).rowcount)

    # ---- writing

    async def create_trace(self, trace: Trace) -> str:
        """See `TraceStore`."""
        trace = checked_trace(trace)
        columns = append.columns_of(_fields(trace))
        await self.database.write(lambda db: append.insert_trace(db, trace, columns, owner=None))
        return trace.trace_id

    async def open_trace(self, trace: Trace, steps: Sequence[Step], *, only_after: str | None = None) -> None:
        """See `TraceLog`."""
        trace = checked_trace(trace)
        owner, epoch = (self.owner, 1) if trace.status == "running" else (None, 0)
        columns, coded = append.columns_of(_fields(trace)), encode_steps(trace.trace_id, steps, epoch)

        def record(db: sqlite3.Connection) -> None:
            """Record trace, steps and owner."""
            if only_after is not None:
                append.check_conversation(db, trace, only_after)
            append.insert_trace(db, trace, columns, owner=owner)
            append.append_steps(db, trace.trace_id, coded, {}, epoch=epoch)
            if owner is not None:
                self._beat_if_due(db)

        await self.database.write(record)
        self._drives(trace.trace_id, is_driving=owner is not None)
        if owner is not None:
            self._has_beaten()

    async def add_step(self, step: Step) -> str:
        """See `TraceStore`."""
        coded = encode_step(step)
        await self.database.write(lambda db: append.add_step(db, step.trace_id, coded))
        return coded.name or step_id_of(step.trace_id, step.sequence)

    async def add_steps(self, trace_id: str, steps: Sequence[Step], *, epoch: int | None = None, changes: Mapping[str, Any] | None = None) -> None:
        """See `TraceLog`."""
        if not steps and not changes:
            raise BadInput(f"nothing to append to trace {trace_id!r}: give steps, changes, or both")
        coded = encode_steps(trace_id, steps, epoch)
        columns = append.columns_of(checked_changes(changes)) if changes else {}
        if epoch is None:
            await self.database.write(lambda db: append.append_steps(db, trace_id, coded, columns, epoch=None))
        else:
            await self._append_fenced(trace_id, coded, columns, epoch)
        if columns:
            self._changed(trace_id, columns)

    def keeps(self, states: object) -> bool:
        """See `StateLog`."""
        return isinstance(states, SqliteStateStore) and states.lies_in(self.database)

    async def add_steps_and_states(
        self, trace_id: str, steps: Sequence[Step], staged: StagedStates, *, epoch: int, changes: Mapping[str, Any] | None = None
    ) -> None:
        """See `StateLog`."""
        assert isinstance(staged.states, SqliteStateStore)
        coded, columns, make = encode_steps(trace_id, steps, epoch), append.columns_of(checked_changes(changes or {})), staged.states.making(staged)

        def change(db: sqlite3.Connection) -> append.Tip:
            """Make the changes, and append the steps that tell of them."""
            make(db)
            return append.append_steps(db, trace_id, coded, columns, epoch=epoch)

        self._tips.pop(trace_id, None)  # it is old as soon as this is written; the next append looks again
        await self.database.write(change)
        self._changed(trace_id, columns)

    async def _append_fenced(self, trace_id: str, coded: list[Coded], columns: Mapping[str, Any], epoch: int) -> None:
        tip = self._tips.pop(trace_id, None)
        ready = append.ready(trace_id, coded, epoch=epoch, tip=tip) if tip is not None and not columns else None
        try:
            after = await self.database.write_statement(lambda db: append.append_after(db, trace_id, ready)) if ready is not None else None
            if after is None:
                after = await self.database.write(lambda db: append.append_steps(db, trace_id, coded, columns, epoch=epoch))
        except Fenced:
            self._drives(trace_id, is_driving=False)
            raise
        if trace_id in self._driven:
            self._tips[trace_id] = after

    async def update_trace(self, trace_id: str, **changes: Any) -> None:
        """See `TraceStore`."""
        columns = append.columns_of(checked_changes(changes))
        await self.database.write(lambda db: append.update_trace(db, trace_id, columns))
        self._changed(trace_id, columns)

    async def claim(self, trace_id: str, *, expected_epoch: int) -> int:
        """See `TraceLog`."""

        def take(db: sqlite3.Connection) -> int:
            """Take it, with a beat."""
            epoch = append.claim(db, trace_id, expected_epoch, self.owner)
            self._beat_if_due(db)
            return epoch

        epoch = await self.database.write(take)
        self._drives(trace_id, is_driving=True)
        self._has_beaten()
        return epoch

    # ---- reading

    async def get_trace(self, trace_id: str, *, uid: str | None = None) -> Trace | None:
        """See `TraceLog`."""
        return await self.database.read(lambda db: rows.read_trace(db, trace_id, uid), is_small=True)

    async def head(self, trace_id: str) -> TraceHead:
        """See `TraceLog`."""
        trace, following, epoch, owner, beat = await self.database.read(lambda db: rows.read_head(db, trace_id), is_small=True)
        return TraceHead(trace=trace, next_sequence=following, epoch=epoch, owner=owner, owner_is_alive=liveness.is_alive(owner, beat, _now_ms(), trace_id))

    async def read_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None) -> list[Step]:
        """See `TraceLog`."""
        return await self.database.read(lambda db: restore.read_steps(rows.SqliteRows(db), trace_id, after, limit), is_small=_is_small(limit))

    async def get_steps(self, trace_id: str, *, after: int = -1, limit: int | None = None, uid: str | None = None) -> list[Step]:
        """See `TraceLog`."""

        def read(db: sqlite3.Connection) -> list[Step]:
            """Read what that uid may see."""
            return restore.get_steps(rows.SqliteRows(db), trace_id, after, limit) if rows.is_visible(db, trace_id, uid) else []

        return await self.database.read(read, is_small=_is_small(limit))

    async def get_step(self, trace_id: str, step_id: str, *, uid: str | None = None) -> Step:
        """See `TraceLog`."""

        def read(db: sqlite3.Connection) -> Step:
            """Read what that uid may see."""
            if not rows.is_visible(db, trace_id, uid):
                raise TraceNotFound(trace_id)
            return restore.get_step(rows.SqliteRows(db), trace_id, step_id)

        return await self.database.read(read, is_small=True)

    async def get_trace_steps(self, trace_id: str, *, uid: str | None = None) -> list[Step]:
        """See `TraceLog`."""

        def read(db: sqlite3.Connection) -> list[Step]:
            """Read what that uid may see."""
            return restore.get_trace_steps(rows.SqliteRows(db), trace_id) if rows.is_visible(db, trace_id, uid) else []

        return await self.database.read(read)

    async def list_traces(
        self,
        *,
        uid: str | None = None,
        status: str | None = None,
        limit: int | None = None,
        before: str | None = None,
        agent_type: str | None = None,
        conversation_id: str | None = None,
        is_waiting: bool | None = None,
        is_unlearnt: bool | None = None,
    ) -> list[Trace]:
        """See `TraceLog`."""
        equal = {"uid": uid, "status": status, "agent_type": agent_type, "conversation": conversation_id}
        return await self.database.read(
            lambda db: rows.list_traces(db, equal, limit=limit, before=before, is_waiting=is_waiting, is_unlearnt=is_unlearnt), is_small=is_unlearnt is True
        )

    async def usage_since(self, moment: datetime, *, uid: str | None = None) -> Usage:
        """See `UsageLog`. The first call makes the indexes for it: a store that nobody asks this has none."""
        if not self._counts:
            if not await self.database.read(usage.is_ready, is_small=True):
                await self.database.write(usage.prepare)
            self._counts = True
        return await self.database.read(lambda db: usage.usage_since(db, moment, uid))

    async def changes_since(self, cursor: int | None) -> tuple[list[tuple[str, int]], int]:
        """See `TraceLog`. At most `rows.CHANGES_LIMIT` at once."""
        return await self.database.read(lambda db: rows.changes_since(db, cursor), is_small=True)

    async def get_blob(self, digest: str) -> bytes:
        """See `TraceLog`."""
        return await self.database.read(lambda db: rows.read_blob(db, digest))

    # ---- upkeep

    async def verify(self, trace_id: str, *, head: str | None = None) -> Verified:
        """See `TraceLog`."""
        return await self.database.read(lambda db: evidence.verify(db, trace_id, head))

    async def erase(self, trace_id: str, sequences: Sequence[int], *, reason: str, by: str | None = None) -> list[int]:
        """See `TraceLog`. While another process reads, the journal keeps the words until its next checkpoint."""
        gone = await self.database.write(lambda db: evidence.erase_steps(db, trace_id, sequences, reason, by))
        await self.database.alone(empty_journal)
        return gone

    async def prune(
        self,
        *,
        before: datetime,
        uid: str | None = None,
        statuses: Sequence[str] = ("completed", "limit_reached", "cancelled", "failed"),
        is_dry_run: bool = False,
    ) -> list[str]:
        """See `TraceLog`. A trace that a kept one goes on from stays. Freed pages are used again; the file does not shrink."""
        wanted = Wanted.of(before, uid, statuses)
        found = await self.database.read(lambda db: upkeep.removable(db, wanted))
        if is_dry_run:
            return found
        removed: list[str] = []
        for n in range(0, len(found), upkeep.AT_ONCE):  # small transactions: runs go on in between
            part = found[n : n + upkeep.AT_ONCE]
            removed += await self.database.write(lambda db, part=part: upkeep.remove(db, part, wanted))  # type: ignore[misc]  # mypy cannot infer it
        swept = 1
        while swept:  # also what an earlier prune left, if it was killed
            swept = await self.database.write(upkeep.sweep)
        return removed

    async def backup(self, target: Path) -> int:
        """See `TraceLog`."""
        return await asyncio.to_thread(copy, self.database.path, Path(target))

    async def dump(self, trace_id: str) -> Carried:
        """See `TraceCarrier`."""
        return await self.database.read(lambda db: carried_of(rows.SqliteRows(db), trace_id))

    async def load(self, carried: Sequence[Carried], *, uid: str | None) -> list[str]:
        """See `TraceCarrier`."""
        ready = arrivals(carried, uid)
        return await self.database.write(lambda db: carrying.load(db, carried, ready, uid))

    # ---- who drives

    def _changed(self, trace_id: str, columns: Mapping[str, Any]) -> None:
        if "owner" in columns or columns.get("status", "running") != "running":
            self._drives(trace_id, is_driving=False)

    def _drives(self, trace_id: str, *, is_driving: bool) -> None:
        if is_driving:
            self._driven[trace_id] = asyncio.get_running_loop()
        else:
            self._driven.pop(trace_id, None)
            self._tips.pop(trace_id, None)
        self.database.drivers = len(self._driven)

    def _beat_if_due(self, db: sqlite3.Connection) -> None:
        """In the commit that makes this store an owner: nobody may see it without a beat."""
        if time.monotonic() >= self._next_beat:
            append.beat(db, self.owner, _now_ms())

    def _has_beaten(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + PULSE_S

    def _pulse(self) -> Change | None:
        is_there = any(not loop.is_closed() for loop in list(self._driven.values()))  # in the writer's thread: the event loop may change them meanwhile
        return (lambda db: append.beat(db, self.owner, _now_ms())) if is_there else None


def _fields(trace: Trace) -> dict[str, Any]:
    return {name: getattr(trace, name) for name in trace.__struct_fields__}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _is_small(limit: int | None) -> bool:
    return limit is not None and limit <= SMALL_PAGE
