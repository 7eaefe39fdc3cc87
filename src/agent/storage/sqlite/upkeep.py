"""Removing what is old."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from agent.storage import prune
from agent.storage.prune import Standing, Wanted

AT_ONCE = 20
"""So many traces are removed in one transaction."""
SWEPT_AT_ONCE = 200
"""So many blobs."""


_CANDIDATES = """select t.no, t.id, t.parent, t.conversation, t.status, p.status, p.created, p.uid
    from trace t left join trace p on p.id=t.parent"""


def _old(rows: Sequence[tuple[Any, ...]], wanted: Wanted) -> list[Standing]:
    """Return those of the traces that have ended, but for sub-agents' runs that are still awaited."""
    ended = [row for row in rows if row[4] in wanted.statuses]
    return [Standing(*row[:4]) for row in ended if not prune.is_awaited(row[1], row[2], row[5:] if row[5] is not None else None, wanted)]


def removable(db: sqlite3.Connection, wanted: Wanted) -> list[str]:
    """Return ids of the traces that may go, newest first."""
    old = _old(db.execute(f"{_CANDIDATES} where t.created<?1 and (?2 is null or t.uid=?2)", (wanted.before_ms, wanted.uid)).fetchall(), wanted)
    if not old:
        return []
    others = db.execute("select no, id, parent, conversation from trace where parent is not null or conversation is not null").fetchall()
    return prune.removable(old, [Standing(*row) for row in others])


def remove(db: sqlite3.Connection, trace_ids: Sequence[str], wanted: Wanted) -> list[str]:
    """Remove those of the traces that may still go and return their ids; `sweep` then removes the blobs."""
    gone = _still_removable(db, trace_ids, wanted)
    ((last,),) = db.execute("select coalesce(max(id), 0) from step").fetchall()
    for trace_id in gone:
        ((no,),) = db.execute("select no from trace where id=?", (trace_id,)).fetchall()
        for table in ("blob_use", "step_name", "step"):
            db.execute(f"delete from {table} where trace=?", (no,))  # noqa: S608  # our own table names
        db.execute("delete from trace where no=?", (no,))
    _keep_count(db, last)
    return gone


def sweep(db: sqlite3.Connection) -> int:
    """Remove some of the blobs that no trace uses, and return how many: 0, when there are no more."""
    return db.execute("delete from blob where id in (select id from blob where id not in (select blob from blob_use) limit ?)", (SWEPT_AT_ONCE,)).rowcount


def _still_removable(db: sqlite3.Connection, trace_ids: Sequence[str], wanted: Wanted) -> list[str]:
    """Ask again about a few: one may have been resumed, or continued, meanwhile. What goes on from them is newer, and so gone already."""
    columns = "no, id, parent, conversation"
    old: list[Standing] = []
    others: list[Standing] = []
    for trace_id in trace_ids:
        sql = f"{_CANDIDATES} where t.id=?1 and t.created<?2 and (?3 is null or t.uid=?3)"
        old += _old(db.execute(sql, (trace_id, wanted.before_ms, wanted.uid)).fetchall(), wanted)
    for trace in old:
        children = f"select {columns} from trace where parent=?1 union select {columns} from trace where conversation=?2"  # noqa: S608  # as above
        others += [Standing(*row) for row in db.execute(children, (trace.trace_id, trace.conversation)).fetchall()]
    return prune.removable(old, others)


def _keep_count(db: sqlite3.Connection, last: int) -> None:
    """Keep numbers of steps from being given again, which would hide new steps from a cursor: a row of no trace holds the last one."""
    if db.execute("select coalesce(max(id), 0) from step").fetchone() != (last,):
        db.execute("delete from step where trace=0")
        db.execute("insert into step(id, trace, seq, epoch, kind, at, parents, data, hash) values(?, 0, 0, 0, '', 0, '', x'00', x'')", (last,))
