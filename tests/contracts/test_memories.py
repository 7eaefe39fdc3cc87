from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.errors import BadInput
from agent.models.memory import Experience
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import MemoryCurator, MemoryStore
from agent.storage.ram.memories import RamMemoryStore
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore
from agent.testing.contracts.learners import LearningStoreContract


class TestRam(LearningStoreContract):
    @pytest.fixture
    def store(self) -> LearningStore:
        return RamMemoryStore()


class TestSqlite(LearningStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[LearningStore]:
        database = await Database.open(tmp_path / "memory.db")
        yield SqliteMemoryStore(database)
        await database.close()


@pytest.mark.parametrize("kind", ["ram", "sqlite"])
async def test_the_largest_item_and_the_least_relevance_are_settings(kind: str, tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "memory.db")
    strict: MemoryCurator = (
        RamMemoryStore(max_item_bytes=2000, min_relevance=0.9) if kind == "ram" else SqliteMemoryStore(database, max_item_bytes=2000, min_relevance=0.9)
    )
    await strict.add_experience(Experience.create("s", "refund", ""))

    assert isinstance(strict, MemoryStore)
    assert await strict.search_experiences("s", "refund for a lost card") == []
    assert len(await strict.search_experiences("s", "refund")) == 1
    with pytest.raises(BadInput, match="at most 2000"):
        await strict.add_experience(Experience.create("s", "refund", "x" * 2000))
    await database.close()
