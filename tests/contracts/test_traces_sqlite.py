"""The SQLite store keeps the contract of traces: on the loop, in threads only, and seen through a store opened later."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.storage.sqlite.database import Database
from agent.storage.sqlite.traces import SqliteTraceStore
from agent.testing.contracts.traces import TraceLogContract
from agent.testing.contracts.usage import UsageLogContract


class TestSqliteTraces(TraceLogContract, UsageLogContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteTraceStore]:
        database = await Database.open(tmp_path / "runs.db")
        store = SqliteTraceStore(database)
        yield store
        await store.close()
        await database.close()


class TestSqliteTracesOfAServer(TraceLogContract, UsageLogContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteTraceStore]:
        database = await Database.open(tmp_path / "runs.db", may_block_loop=False)
        store = SqliteTraceStore(database)
        yield store
        await store.close()
        await database.close()


class _Reopened:
    """Writes with one store, reads with another one, opened on the same file."""

    def __init__(self, writer: SqliteTraceStore, reader: SqliteTraceStore) -> None:
        self.writer, self.reader = writer, reader

    def __getattr__(self, name: str) -> Any:
        writes = ("create_trace", "open_trace", "add_step", "add_steps", "update_trace", "prune")
        return getattr(self.writer if name in writes else self.reader, name)


class TestSqliteTracesOfAnotherStore(TraceLogContract, UsageLogContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Any]:
        databases = [await Database.open(tmp_path / "runs.db") for _ in range(2)]
        stores = [SqliteTraceStore(database) for database in databases]
        yield _Reopened(*stores)
        for store, database in zip(stores, databases, strict=True):
            await store.close()
            await database.close()
