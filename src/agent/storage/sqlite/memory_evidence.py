"""Checking a memory in a file: its log against the chain, and what it amounts to against the log."""

import sqlite3
from collections.abc import Callable

from agent.errors import StoreUnusable
from agent.storage.memory_chain import Entry, check_log, pledge
from agent.storage.memory_log import CARRYING
from agent.storage.protocols import Verified
from agent.storage.sqlite.memory_tables import ENTRY, SqliteLedger, log_of

_SHELF = "select kind || ':' || scope || ':' || owner from memory_shelf where no = shelf"
PROJECTIONS = {
    "memory_shelf": "select kind, scope, owner, items, length from memory_shelf order by kind, scope, owner",
    "memory_item": f"select no, id, ({_SHELF}), name, state, created, valid_from, valid_to, length, data from memory_item order by no",  # noqa: S608 (constants)
    "memory_posting": f"select item, ({_SHELF}), token, count, length from memory_posting order by item, token",  # noqa: S608 (constants)
    "memory_origin": "select origin, item from memory_origin order by origin, item",
    "memory_use": f"select no, ({_SHELF}), number, at, outcome, signal, by from memory_use order by no",  # noqa: S608 (constants)
    "memory_used": "select item, use from memory_used order by item, use",
}
"""What the tables hold. A shelf by what it stands for: what opened it first may have been forgotten."""


def verify(db: sqlite3.Connection, blank: Callable[[], sqlite3.Connection], head: str | None) -> Verified:
    """See `MemoryCurator.verify`. `blank` gives empty tables in memory, in which the log is read anew.

    Raises:
        StoreUnusable: the log, or what it amounts to, was changed.
    """
    db.execute("begin")  # one moment: the memory may be written to meanwhile
    try:
        found = check_log(_read(db), head)
        if SqliteLedger(db).is_indexed():  # else the next use makes them anew
            _compare(db, blank())
        return found
    finally:
        db.execute("rollback")


def _read(db: sqlite3.Connection) -> list[Entry]:
    try:
        return log_of(db)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise StoreUnusable(f"the memory was changed: its log cannot be read ({error})") from error


def _compare(db: sqlite3.Connection, again: sqlite3.Connection) -> None:
    try:
        rows = db.execute(f"select {ENTRY} from memory_log order by number").fetchall()  # noqa: S608  # our own column names
        again.executemany(f"insert into memory_log({ENTRY}) values(?, ?, ?, ?, ?, ?, ?, ?)", rows)  # as above
        SqliteLedger(again).rebuild()
        for table, question in PROJECTIONS.items():
            if db.execute(question).fetchall() != again.execute(question).fetchall():
                raise StoreUnusable(f"the memory was changed: {table} is not what the log amounts to")
    finally:
        again.close()


def chain_log(db: sqlite3.Connection) -> None:
    """Chain a log that an older version wrote, as it is now."""
    link = b""
    for entry in log_of(db):
        made = pledge(link, entry.number, entry.change)
        link = made.link
        salt = None if entry.change.data is None and entry.change.change in CARRYING else made.salt
        db.execute("update memory_log set salt = ?, pledge = ?, hash = ? where number = ?", (salt, made.commitment, made.link, entry.number))
