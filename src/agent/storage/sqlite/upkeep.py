"""Looking after the record: checking its chain, and removing what is old."""

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Self

import msgspec

from agent.clock import as_utc, to_ms
from agent.errors import BadInput, StoreUnusable, TraceNotFound
from agent.models.trace import ENDED
from agent.models.value import Value
from agent.storage.chain import SIZE
from agent.storage.codec import Coded, Page, blob_bytes, commitment_of

AT_ONCE = 20
"""So many traces are removed in one transaction."""


def verify(db: sqlite3.Connection, trace_id: str) -> int:
    """Return how many steps the chain covers; a forgotten payload is no fault, its commitment stays.

    Raises:
        TraceNotFound: no trace has this id.
        StoreUnusable: a step was changed, removed, added or moved; says which.
    """
    found = db.execute("select no, seal from trace where id=?", (trace_id,)).fetchone()
    if found is None:
        raise TraceNotFound(trace_id)
    no, seal = found
    sql = (
        "select s.seq, s.epoch, s.kind, s.at, s.parents, s.data, n.name, s.hash from step s left join step_name n on n.step=s.id where s.trace=? order by s.id"
    )
    rows = db.execute(sql, (no,)).fetchall()
    link, is_sealed = b"", seal is None
    for row in rows:
        link = _check(trace_id, row, link)
        is_sealed = is_sealed or link == seal
    if not is_sealed:
        raise StoreUnusable(f"trace {trace_id!r} was changed: steps at its end, after sequence {rows[-1][0] if rows else None}, were removed")
    _check_blobs(db, trace_id, [row[:7] for row in rows])
    return len(rows)


def _check(trace_id: str, row: Sequence[object], before: bytes) -> bytes:
    seq, epoch, kind, at, parents, data, name, expected = row
    try:
        commit = commitment_of(data)  # type: ignore[arg-type]  # whatever is there; it is checked here
        link = Coded(seq, epoch, kind, at, parents, name, b"", commit, ()).link(before, trace_id)  # type: ignore[arg-type]  # as above
    except (TypeError, ValueError, IndexError, zlib.error) as error:
        raise StoreUnusable(f"step {seq} of trace {trace_id!r} is damaged ({error}): restore a backup") from error
    if link != expected:
        raise StoreUnusable(f"trace {trace_id!r} was changed: step {seq}, or what stood before it, is not what was recorded (changed, removed, added or moved)")
    return link


def _check_blobs(db: sqlite3.Connection, trace_id: str, rows: Sequence[tuple[int, int, str, int, str, bytes, str | None]]) -> None:
    page = Page(trace_id)
    page.add(rows)
    for digest in page.wanted:
        stored = db.execute("select data from blob where hash=?", (digest,)).fetchone()
        try:
            is_right = stored is not None and sha256(blob_bytes(stored[0])).digest()[:SIZE] == digest
        except (TypeError, IndexError, zlib.error, msgspec.DecodeError):
            is_right = False
        if not is_right:
            raise StoreUnusable(f"trace {trace_id!r} was changed: its blob {digest.hex()} is not what was recorded")


class Wanted(Value, frozen=True):
    """Which traces are to be removed."""

    before_ms: int
    uid: str | None
    statuses: tuple[str, ...]

    @classmethod
    def of(cls, before: datetime, uid: str | None, statuses: Sequence[str]) -> Self:
        """Return what a caller asked for.

        Raises:
            BadInput: a status is none at which a run has ended.
        """
        living = sorted(set(statuses) - ENDED)
        if living:
            raise BadInput(f"traces that are {', '.join(living)} have not ended and are not pruned; these may be: {', '.join(sorted(ENDED))}")
        return cls(to_ms(as_utc(before)), uid, tuple(statuses))


def removable(db: sqlite3.Connection, wanted: Wanted, among: frozenset[str] | None = None) -> list[str]:
    """Return ids of what may go, newest first: a trace that a kept one goes on from (a fork, a conversation) stays."""
    sql = "select no, id, conversation, status from trace where created<?1 and (?2 is null or uid=?2) order by no desc"
    rows = [row[:3] for row in db.execute(sql, (wanted.before_ms, wanted.uid)).fetchall() if row[3] in wanted.statuses]
    going = {trace_id: (no, conversation) for no, trace_id, conversation in rows if among is None or trace_id in among}
    resting = db.execute("select no, id, parent, conversation from trace where parent is not null or conversation is not null").fetchall()
    while kept := _needed(going, resting):
        for trace_id in kept:
            del going[trace_id]
    return list(going)


def _needed(going: dict[str, tuple[int, str | None]], resting: Iterable[tuple[int, str, str | None, str | None]]) -> set[str]:
    """Return those of `going` that a trace which stays rests on."""
    parents, newest = set[str](), dict[str, int]()
    for no, trace_id, parent, conversation in resting:
        if trace_id in going:
            continue
        if parent is not None:
            parents.add(parent)
        if conversation is not None:
            newest[conversation] = max(no, newest.get(conversation, 0))
    return {
        trace_id for trace_id, (no, conversation) in going.items() if trace_id in parents or (conversation is not None and newest.get(conversation, 0) > no)
    }


def remove(db: sqlite3.Connection, trace_ids: Sequence[str], wanted: Wanted) -> list[str]:
    """Remove those of the traces that may still go, with blobs nobody else uses; return their ids."""
    gone = removable(db, wanted, frozenset(trace_ids))  # again: one may have been resumed meanwhile
    ((last,),) = db.execute("select coalesce(max(id), 0) from step").fetchall()
    for trace_id in gone:
        ((no,),) = db.execute("select no from trace where id=?", (trace_id,)).fetchall()
        blobs = db.execute("select blob from blob_use where trace=?", (no,)).fetchall()
        for table in ("blob_use", "step_name", "step"):
            db.execute(f"delete from {table} where trace=?", (no,))  # noqa: S608  # our own table names
        db.execute("delete from trace where no=?", (no,))
        db.executemany("delete from blob where id=?1 and not exists (select 1 from blob_use where blob=?1)", blobs)
    _keep_count(db, last)
    return gone


def _keep_count(db: sqlite3.Connection, last: int) -> None:
    """Keep the numbers of steps from being given again, which would hide new steps from a cursor: a row of no trace holds the last."""
    if db.execute("select coalesce(max(id), 0) from step").fetchone() != (last,):
        db.execute("delete from step where trace=0")
        db.execute("insert into step(id, trace, seq, epoch, kind, at, parents, data, hash) values(?, 0, 0, 0, '', 0, '', x'00', x'')", (last,))
