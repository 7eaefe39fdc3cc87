"""Taking traces in from elsewhere, inside a transaction."""

import sqlite3
from collections.abc import Sequence

from agent.storage.portable import Arrival, Carried, check_arrived, check_callers, check_conversation, is_there, taken_in
from agent.storage.sqlite import append
from agent.storage.sqlite.rows import SqliteRows


def load(db: sqlite3.Connection, carried: Sequence[Carried], ready: Sequence[Arrival], uid: str | None) -> list[str]:
    """Take traces in and return the ids of those that were not there.

    Raises:
        BadInput, TraceExists: nothing of it may stand.
    """
    rows = SqliteRows(db)
    new = [(one, arrival) for one, arrival in zip(carried, ready, strict=True) if not is_there(rows, one)]
    check_callers(rows, [arrival for _, arrival in new])
    with taken_in():
        _take_in(db, carried, [arrival for _, arrival in new])
    for one, _ in new:
        check_arrived(rows, one, uid)
    return [one.trace.trace_id for one, _ in new]


def _take_in(db: sqlite3.Connection, carried: Sequence[Carried], new: Sequence[Arrival]) -> None:
    for arrival in new:
        found = db.execute("select id from trace where conversation=? and uid is ?", (arrival.trace.conversation_id, arrival.trace.uid)).fetchall()
        check_conversation(arrival.trace, [trace_id for (trace_id,) in found], carried)
        columns = append.columns_of({name: getattr(arrival.trace, name) for name in arrival.trace.__struct_fields__})
        append.insert_trace(db, arrival.trace, columns, owner=None)
        for step in arrival.steps:
            append.add_step(db, arrival.trace.trace_id, step)
        db.execute("update trace set epoch=? where id=?", (arrival.epoch, arrival.trace.trace_id))
        append.update_trace(db, arrival.trace.trace_id, {"status": arrival.trace.status})  # which seals it
