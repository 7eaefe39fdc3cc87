"""Copies of the file while runs go on, and back."""

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path

from agent.errors import BadInput, StoreUnusable
from agent.storage.sqlite.faults import fault_of
from agent.storage.sqlite.schema import check_place, format_of

PAGES_AT_ONCE = 256
"""Between so many pages other threads have their turn."""


def copy(source: Path, target: Path) -> int:
    """Write a consistent copy of a database to a new file and return its size in bytes. Blocks.

    The target appears whole, or not at all.

    Raises:
        BadInput: the target exists.
        StoreUnusable, StoreFull, StoreBusy: one of the two cannot be read or written.
    """
    target = target.absolute()
    try:
        is_there = target.exists()
    except OSError as error:
        raise BadInput(f"{str(target)[:200]!r} can be the path of no file ({error.strerror}): choose another") from error
    if is_there:
        raise BadInput(f"{str(target)!r} exists: choose a new name, nothing is overwritten")
    check_place(target)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _copy_pages(source, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        _put_in_place(part, target)
    except sqlite3.Error as error:
        raise fault_of(error, target) from error
    except OSError as error:
        raise StoreUnusable(f"{str(target)!r} could not be written ({error.strerror}): choose another place") from error
    finally:
        for left in (part, part.with_name(part.name + "-journal")):
            left.unlink(missing_ok=True)
    return target.stat().st_size


def restore(source: Path, target: Path) -> int:
    """Copy a backup to a new file and return its format.

    Raises:
        BadInput: the target exists.
        ForeignFile, FormatTooNew, StoreUnusable: the source is no store that this version can read.
    """
    found = format_of(source.absolute())
    copy(source.absolute(), target)
    return found


def _copy_pages(source: Path, target: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, isolation_level=None)) as db,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        db.execute("begin")
        db.execute("select 1 from sqlite_master").fetchall()  # one moment for all pages: else each commit would begin the copy again
        db.backup(new, pages=PAGES_AT_ONCE, sleep=0)
        db.execute("rollback")
        if new.execute("pragma quick_check(1)").fetchone() != ("ok",):
            raise StoreUnusable(f"{str(source)!r} is damaged: its copy does not pass SQLite's check")


def _put_in_place(part: Path, target: Path) -> None:
    try:
        target.hardlink_to(part)  # unlike a rename it refuses what exists
    except FileExistsError:
        raise BadInput(f"{str(target)!r} exists: choose a new name, nothing is overwritten") from None
    except OSError:  # a file system without links
        part.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
