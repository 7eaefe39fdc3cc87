"""A whole store in one SQLite file."""

from pathlib import Path
from typing import Self

from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore
from agent.storage.sqlite.states import SqliteStateStore
from agent.storage.sqlite.traces import SqliteTraceStore


class SqliteStore:
    """Traces, memories and states in one file, with one writer."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.traces = SqliteTraceStore(database)
        self.memories = SqliteMemoryStore(database)
        self.states = SqliteStateStore(database)
        self._is_closed = False

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or make the file.

        Raises:
            ForeignFile, FormatTooNew, StoreUnusable: it cannot be used; says why.
        """
        return cls(await Database.open(path))

    async def close(self) -> None:
        """Write what is queued, give up what is driven; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.traces.close()
        await self.database.close()
