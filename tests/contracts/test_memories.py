from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.storage.protocols import MemoryCurator
from agent.storage.ram.memories import RamMemoryStore
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore
from agent.testing.contracts.curators import MemoryCuratorContract


class TestRam(MemoryCuratorContract):
    @pytest.fixture
    def store(self) -> MemoryCurator:
        return RamMemoryStore()


class TestSqlite(MemoryCuratorContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[MemoryCurator]:
        database = await Database.open(tmp_path / "memory.db")
        yield SqliteMemoryStore(database)
        await database.close()
