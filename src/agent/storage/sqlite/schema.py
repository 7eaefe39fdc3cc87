"""The file itself: whether it is ours, and its tables, brought up to date by numbered `.sql` files under a lock."""

import re
import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

from agent.errors import ForeignFile, FormatTooNew, StoreUnusable
from agent.storage.sqlite.faults import FAULTS, code_of, fault_of

APPLICATION_ID = 0x5EA50ED  # "seasoned", as far as hex digits go; SQLite keeps it in the file's header
PAGE_SIZE = 4096
_MAGIC = b"SQLite format 3\0"
_NAME = re.compile(r"(\d{4})_\w+\.sql")
_REMARK = re.compile(r"\s*--.*")  # SQLite keeps the text of a definition: remarks would take pages of every file


@cache
def migrations(*part: str) -> tuple[tuple[int, str], ...]:
    """Return (number, script) of every migration of the file, or of one of its parts, in order."""
    folder = resources.files("agent.storage.sqlite").joinpath("migrations", *part)
    found = ((_NAME.fullmatch(entry.name), entry) for entry in folder.iterdir())
    return tuple(sorted((int(name[1]), _REMARK.sub("", entry.read_text("utf-8"))) for name, entry in found if name))


def check_place(path: Path) -> None:
    """Refuse what cannot be, or is not, a database of ours, without touching it.

    Raises:
        StoreUnusable: a folder, in a folder that is missing, or cut short.
        ForeignFile: another kind of file.
    """
    if path.is_dir():
        raise StoreUnusable(f"{str(path)!r} is a folder: name a file in it, such as {str(path / 'runs.db')!r}")
    if not path.parent.is_dir():
        raise StoreUnusable(f"the folder {str(path.parent)!r} does not exist: create it, or choose another place for {path.name!r}")
    try:
        with path.open("rb") as file:
            begin = file.read(100)  # the length of SQLite's header
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreUnusable(f"{str(path)!r} cannot be read ({error.strerror}): check its permissions") from error
    if begin and not begin.startswith(_MAGIC):
        raise ForeignFile(f"{str(path)!r} is not a database of seasoned, and was left alone: choose another file")


def connect(path: Path, *, timeout_s: float, is_reader: bool = False) -> sqlite3.Connection:
    """Return a connection that commits durably; a reader cannot write."""
    db = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        db.execute("pragma synchronous=full")  # a commit is on the disk, also if the power fails
        db.execute("pragma query_only=on" if is_reader else "pragma secure_delete=on")  # what is deleted is gone from the pages too
    except FAULTS:
        db.close()
        raise
    return db


def prepare(path: Path, *, timeout_s: float) -> None:
    """Create the file or bring its tables up to date; safe while other processes do the same.

    Raises:
        StoreUnusable, StoreBusy, StoreFull: it cannot be read or written.
        ForeignFile: the database of another program.
        FormatTooNew: a newer version of this program wrote it.
    """
    check_place(path)
    try:
        db = connect(path, timeout_s=timeout_s)
        try:
            _use_wal(db, path, timeout_s)
            if _version(db, path) < migrations()[-1][0]:
                _migrate(db, path)
        finally:
            db.close()
    except FAULTS as error:
        raise fault_of(error, path) from error


def _use_wal(db: sqlite3.Connection, path: Path, timeout_s: float) -> None:
    """Switch to WAL. SQLite does not wait for a lock here, so we do."""
    until = time.monotonic() + timeout_s
    _version(db, path)  # another program's file is not to be changed
    if db.execute("pragma page_count").fetchone() == (0,):
        db.execute(f"pragma page_size={PAGE_SIZE}")
    while True:
        try:
            (mode,) = db.execute("pragma journal_mode=wal").fetchone()
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
            continue
        if mode != "wal":
            raise StoreUnusable(f"the file system of {str(path)!r} cannot share memory between processes, which the journal needs: choose a local disk")
        return


def _version(db: sqlite3.Connection, path: Path) -> int:
    # The id last: while another process makes the file, a table without our id would pass for another program's.
    questions = ("select count(*) from sqlite_master", "pragma user_version", "pragma application_id")
    ((tables,), (version,), (app,)) = (db.execute(question).fetchone() for question in questions)
    if app != APPLICATION_ID and (app or version or tables):
        raise ForeignFile(f"{str(path)!r} is the database of another program, and was left alone: choose another file")
    newest = migrations()[-1][0]
    if version > newest:
        raise FormatTooNew(
            f"{str(path)!r} has format {version}, and this version of seasoned knows formats up to {newest}: install a newer seasoned to open it"
        )
    return int(version)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    db.execute("begin exclusive")
    try:
        done = _version(db, path)  # again: another process may have been first
        db.execute(f"pragma application_id={APPLICATION_ID}")
        for number, script in migrations():
            if number > done:
                for statement in statements(script):
                    db.execute(statement)
                db.execute(f"pragma user_version={number}")
        db.execute("commit")
    finally:
        if db.in_transaction:
            db.execute("rollback")


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script (`executescript` would commit in between)."""
    begun = ""
    for piece in script.split(";")[:-1]:
        begun += piece + ";"
        if sqlite3.complete_statement(begun):
            yield begun.strip()
            begun = ""


def format_of(path: Path) -> int:
    """Return the format of a file of ours, without changing it.

    Raises:
        StoreUnusable, ForeignFile, FormatTooNew, StoreBusy: it is none, or cannot be read.
    """
    check_place(path)
    if not path.exists():
        raise StoreUnusable(f"there is no file {str(path)!r}")
    try:
        db = sqlite3.connect(path, timeout=1.0)
        try:
            version = _version(db, path)
        finally:
            db.close()
    except FAULTS as error:
        raise fault_of(error, path) from error
    if not version:
        raise ForeignFile(f"{str(path)!r} is empty: it holds no store")
    return version
