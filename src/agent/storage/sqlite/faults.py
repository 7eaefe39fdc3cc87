"""What SQLite's errors mean to a caller."""

import sqlite3
from pathlib import Path

from agent.errors import AgentError, StoreBusy, StoreFull, StoreUnusable

FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises; of a damaged file it may say words that are no text."""
_PRIMARY = 0xFF  # an extended result code holds its primary one in the low byte
_OF_THE_FILE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_PROTOCOL,
}


def code_of(error: BaseException) -> int:
    """Return SQLite's primary result code; -1 where there is none."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & _PRIMARY


def is_of_the_file(error: BaseException) -> bool:
    """Return whether the file or its disk failed, not the one statement: then nothing of the transaction can stand."""
    return code_of(error) in _OF_THE_FILE


def fault_of(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> AgentError:
    """Return our error for SQLite's: what happened, to which file, what to do."""
    code = code_of(error)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"no space left for {str(path)!r}: nothing was written; free some space, then try again")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return StoreBusy(f"another process keeps {str(path)!r} locked: nothing was written; end what holds it (a backup tool, an open shell), then try again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(error, UnicodeDecodeError):
        return StoreUnusable(f"{str(path)!r} is damaged ({error}): restore a backup, or move the file away to begin a new one")
    if code == sqlite3.SQLITE_READONLY:
        return StoreUnusable(f"{str(path)!r} may not be written: check the permissions of the file and of its folder")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreUnusable(f"{str(path)!r} cannot be opened: check that its folder exists and that this user may write there")
    if code == sqlite3.SQLITE_IOERR:
        return StoreUnusable(f"the disk refused to read or write {str(path)!r} ({error}): check the disk, its quota and the limits of this process")
    return StoreUnusable(f"{str(path)!r} could not be used: {error}")
