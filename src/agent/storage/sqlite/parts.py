"""Parts of the file that not every program needs: their tables come with the first write to them.

An empty table or index takes a page (4 KB): what a program does not use is not to weigh on its file.
"""

import sqlite3
import threading
import weakref
from collections.abc import Callable
from typing import Literal, TypeVar

from agent.errors import FormatTooNew
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memory_evidence import chain_log
from agent.storage.sqlite.memory_tables import SqliteLedger
from agent.storage.sqlite.schema import migrations, statements

T = TypeVar("T")

PartName = Literal["memory", "state"]
"""A folder below `migrations`."""


BEFORE_THE_CHAIN = 1
"""The format of memory whose log had no hash chain."""


class Part:
    """A part of a database, read and written as the database is."""

    def __init__(self, database: Database, name: PartName) -> None:
        self._database = database
        self._name: PartName = name
        self._is_current = False  # has its tables, as far as is known; they never go
        self._blank: sqlite3.Connection | None = None
        self._blank_lock = threading.Lock()

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Make a change, and the tables first where they are missing, in one transaction. Otherwise as `Database.write`.

        Raises:
            FormatTooNew: a newer version of this program wrote this part.
        """

        def prepared(db: sqlite3.Connection) -> T:
            """Make the tables first."""
            ensure(db, self._name)
            return change(db)

        value = await self._database.write(prepared)
        self._is_current = True
        return value

    async def read(self, question: Callable[[sqlite3.Connection], T], *, is_small: bool = False) -> T:
        """Return what `question` reads: from empty tables, where the file has none yet. Otherwise as `Database.read`.

        Raises:
            FormatTooNew: a newer version of this program wrote this part.
        """
        if not self._is_current:
            version = await self._database.read(lambda db: version_of(db, self._name), is_small=True)
            if not version:
                return self._ask_nothing(question)
            if version < newest(self._name):
                await self._database.write(lambda db: ensure(db, self._name))
            self._is_current = True
        return await self._database.read(question, is_small=is_small)

    def _ask_nothing(self, question: Callable[[sqlite3.Connection], T]) -> T:
        with self._blank_lock:
            if self._blank is None:
                self._blank = blank(self._name)
                self._blank.execute("pragma query_only=on")
                weakref.finalize(self, self._blank.close)
            return question(self._blank)


def ensure(db: sqlite3.Connection, name: PartName) -> None:
    """Make the tables of a part or bring them up to date, inside the caller's transaction; safe while other processes do the same.

    Raises:
        FormatTooNew: a newer version of this program wrote this part.
    """
    done = version_of(db, name)
    if done == newest(name):
        return
    db.execute("create table if not exists part(name text primary key, version integer not null) without rowid")
    _bring_up(db, name, done)
    if name == "memory" and done == BEFORE_THE_CHAIN:
        chain_log(db)
    if name == "memory" and done:
        SqliteLedger(db).rebuild()
    db.execute("insert into part values(?, ?) on conflict(name) do update set version = excluded.version", (name, newest(name)))


def version_of(db: sqlite3.Connection, name: PartName) -> int:
    """Return the format of a part; 0 where it has no tables.

    Raises:
        FormatTooNew: a newer version of this program wrote this part.
    """
    if db.execute("select 1 from sqlite_master where name = 'part'").fetchone() is None:
        return 0
    row = db.execute("select version from part where name = ?", (name,)).fetchone()
    version = int(row[0]) if row else 0
    if version > newest(name):
        path = db.execute("pragma database_list").fetchone()[2]
        raise FormatTooNew(
            f"the {name} in {path!r} has format {version}, and this version of seasoned knows formats up to {newest(name)}: install a newer seasoned to use it"
        )
    return version


def newest(name: PartName) -> int:
    """Return the format of a part that this version of the program writes."""
    return migrations(name)[-1][0]


def _bring_up(db: sqlite3.Connection, name: PartName, done: int) -> None:
    for number, script in migrations(name):
        if number > done:
            for statement in statements(script):
                db.execute(statement)


def blank(name: PartName) -> sqlite3.Connection:
    """Return a connection to the part's tables with nothing in them; one thread at a time may use it."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _bring_up(db, name, 0)
    return db
