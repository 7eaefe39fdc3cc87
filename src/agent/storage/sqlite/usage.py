"""What the runs of a uid have used since a moment, read from the traces alone."""

import sqlite3
from datetime import datetime

from agent.clock import to_ms
from agent.storage.protocols import Usage

_INDEXES = {"trace_begun": "trace(uid, created)", "trace_ended": "trace(uid, completed)"}
_SINCE = "select created, mode, tokens, cost, is_partial from trace where (parent is null or substr(id, 1, length(parent) + 1) <> parent || '.') and "
"""What a sub-agent used is its caller's, and counts there."""
_SUM = """select coalesce(sum(created>=:since and mode='agent'), 0), coalesce(sum(tokens), 0), coalesce(sum(cost), 0.0),
    coalesce(max(is_partial or cost is null), 0) from"""


def is_ready(db: sqlite3.Connection) -> bool:
    """Return whether the indexes are there."""
    found = db.execute("select count(*) from sqlite_master where type='index' and name in (?, ?)", tuple(_INDEXES)).fetchone()
    return bool(found == (len(_INDEXES),))


def prepare(db: sqlite3.Connection) -> None:
    """Make the indexes, where they are not there."""
    for name, columns in _INDEXES.items():
        db.execute(f"create index if not exists {name} on {columns}")


def usage_since(db: sqlite3.Connection, moment: datetime, uid: str | None) -> Usage:
    """Return what traces that began or ended at a moment or later have used."""
    whose = "" if uid is None else "uid=:uid and "
    begun, ended = f"{whose}created>=:since", f"{whose}completed>=:since and created<:since"
    row = db.execute(f"{_SUM} ({_SINCE} {begun} union all {_SINCE} {ended})", {"since": to_ms(moment), "uid": uid}).fetchone()
    runs, tokens, cost, is_partial = row
    return Usage(runs=runs, tokens=tokens, cost=cost, cost_is_partial=bool(is_partial))
