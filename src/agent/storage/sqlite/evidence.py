"""Checking a trace against its chain, and erasing what steps said so that the check still holds."""

import sqlite3
from collections.abc import Sequence

import agent.models.payloads as said
from agent.clock import now
from agent.errors import StepNotFound, TraceNotFound
from agent.models.trace import Step, step_id_of
from agent.storage.codec import Page, Row, encode_step, erase
from agent.storage.erasing import check_erasable, checked_sequences, checked_words, is_erased
from agent.storage.protocols import Verified
from agent.storage.sqlite import append
from agent.storage.sqlite.rows import SqliteRows, read_trace
from agent.storage.unicode import findable
from agent.storage.verify import ERASURE, verify_run


def verify(db: sqlite3.Connection, trace_id: str, head: str | None) -> Verified:
    """See `TraceLog.verify`; all is read at one moment, so that a run that goes on raises no alarm."""
    db.execute("begin")
    try:
        if db.execute("select 1 from trace where id=?", (findable(trace_id),)).fetchone() is None:
            raise TraceNotFound(trace_id)
        return verify_run(SqliteRows(db), trace_id, head)
    finally:
        db.execute("rollback")


def erase_steps(db: sqlite3.Connection, trace_id: str, sequences: Sequence[int], reason: str, by: str | None) -> list[int]:
    """See `TraceLog.erase`; inside a transaction."""
    checked_words(reason, by)
    trace = read_trace(db, trace_id, None)
    if trace is None:
        raise TraceNotFound(trace_id)
    check_erasable(trace)
    wanted = checked_sequences(sequences)
    rows = SqliteRows(db).at(trace_id, wanted)
    if missing := sorted(set(wanted) - {row[0] for row in rows}):
        raise StepNotFound(step_id_of(trace_id, missing[0]), f"trace {trace_id!r} has no such step; nothing was erased")
    going = [row for row in rows if row[2] != ERASURE and not is_erased(row[5])]
    if not going:
        return []
    ((no,),) = db.execute("select no from trace where id=?", (trace_id,)).fetchall()
    db.executemany("update step set data=? where trace=? and seq=?", [(erase(row[5]), no, row[0]) for row in going])
    _drop_blobs(db, trace_id, no)
    _append_tombstone(db, trace_id, said.Erased(sequences=[row[0] for row in going], reason=reason, by=by), with_task=_has_input(going))
    return [row[0] for row in going]


def _has_input(rows: Sequence[Row]) -> bool:
    return any(row[2] == said.Input.step_type for row in rows)


def _append_tombstone(db: sqlite3.Connection, trace_id: str, tombstone: said.Erased, *, with_task: bool) -> None:
    ((last,),) = db.execute("select max(seq) from step where trace=(select no from trace where id=?)", (trace_id,)).fetchall()
    parents = [step_id_of(trace_id, sequence) for sequence in tombstone.sequences]
    step = Step(step_id_of(trace_id, last + 1), trace_id, ERASURE, last + 1, parents, tombstone.to_data(), now())
    append.append_steps(db, trace_id, [encode_step(step)], append.columns_of({"task": None, "context": {}}) if with_task else {}, epoch=None)


def _drop_blobs(db: sqlite3.Connection, trace_id: str, no: int) -> None:
    page = Page(trace_id)
    page.add(SqliteRows(db).span(trace_id, -1, None))
    wanted = set(page.wanted)
    used = db.execute("select u.blob, b.hash from blob_use u join blob b on b.id=u.blob where u.trace=?", (no,)).fetchall()
    for blob, _ in [(blob, digest) for blob, digest in used if digest not in wanted]:
        db.execute("delete from blob_use where trace=? and blob=?", (no, blob))
        db.execute("delete from blob where id=? and id not in (select blob from blob_use)", (blob,))
