"""What only a memory in a file can get wrong: words that stay behind, an index of another version, the end of the process."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import agent.storage.sqlite.memory_tables
from agent.core.text import tokens
from agent.models.memory import Experience, Skill
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore

SECRET = "Xylophonist Wilhelmina owes 退款秘密 quarterly"  # no digits: ids are full of them


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "memory.db")
    yield opened
    await opened.close()


def words_in(folder: Path) -> set[str]:
    """Return which words of the secret stand in any file of the folder."""
    data = b"".join(path.read_bytes() for path in folder.iterdir())
    return {word for word in {*SECRET.split(), *tokens(SECRET)} if len(word) > 3 and word.encode() in data} | ({"退款"} if "退款".encode() in data else set())


async def a_life_with_secrets(store: SqliteMemoryStore) -> list[str]:
    """Add, edit, supersede, promote and retire items with the secret among many others; return the ids of those with it."""
    ids = []
    for n in range(60):
        await store.add_experience(Experience.create("s", f"harmless thing {n}", "do it so " * 30, uid=f"u{n % 3}"))
        if n % 10 == 0:
            ids.append(await store.add_experience(Experience.create("s", SECRET, f"rule {n}", uid="u1")))
            ids.append(await store.supersede(ids[-1], Experience.create("s", f"{SECRET} again", "rule " * 2000)))
            await store.promote(ids[-1], by="Ann")
    skill = Skill.create("s", "n", "d", SECRET)
    ids.append(await store.add_skill(skill))
    ids.append(await store.add_skill(Skill.create("s", "n", SECRET, "longer " * 3000 + SECRET)))
    await store.retire(ids[0], by="Ann")
    return ids


async def test_no_word_of_what_was_forgotten_is_left_in_the_file_or_its_journal(tmp_path: Path, database: Database) -> None:
    store = SqliteMemoryStore(database)
    ids = await a_life_with_secrets(store)
    assert words_in(tmp_path) >= {"Wilhelmina", "xylophonist", "退款"}

    for item_id in ids:
        await store.forget(item_id, by="Ann")
    assert words_in(tmp_path) == set()

    await database.alone(lambda db: db.execute("vacuum").fetchall())
    assert words_in(tmp_path) == set()
    assert [entry["change"] for entry in await store.history(item_id=ids[0])] == ["added", "superseded", "retired", "forgotten"]


async def test_forgetting_does_not_wait_for_somebody_who_reads(tmp_path: Path, database: Database) -> None:
    store = SqliteMemoryStore(database)
    item_id = await store.add_experience(Experience.create("s", SECRET, ""))
    reader = sqlite3.connect(tmp_path / "memory.db", isolation_level=None)
    reader.execute("begin")
    reader.execute("select * from memory_item").fetchall()

    async with asyncio.timeout(5):
        await store.forget(item_id)
    assert await store.get(item_id) is None

    reader.close()
    await database.alone(lambda db: db.execute("pragma wal_checkpoint(truncate)").fetchall())
    assert words_in(tmp_path) == set()


async def test_what_another_tokenizer_indexed_is_indexed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = await Database.open(tmp_path / "memory.db")
    with monkeypatch.context() as patch:
        patch.setattr(agent.storage.sqlite.memory_tables, "TOKENIZER", "0")
        patch.setattr(agent.storage.sqlite.memory_tables, "tokens", lambda text: [text[::-1]])
        item_id = await SqliteMemoryStore(database).add_experience(Experience.create("s", SECRET, ""))
        assert await SqliteMemoryStore(database).search_experiences("s", "xylophonist") == []
    store = SqliteMemoryStore(database)

    assert [item.experience_id for item in await store.search_experiences("s", "xylophonists")] == [item_id]
    await store.forget(item_id)
    await database.close()
    assert words_in(tmp_path) == set()
    assert SECRET[::-1].casefold().encode() not in (tmp_path / "memory.db").read_bytes()


async def test_a_memory_outlives_the_process(tmp_path: Path) -> None:
    item = Experience.create("s", "refund", "check the order", uid="u")
    for is_first in (True, False):
        database = await Database.open(tmp_path / "memory.db")
        store = SqliteMemoryStore(database)
        if is_first:
            await store.add_experience(item)

        assert await store.search_experiences("s", "refunds", uid="u") == [item]
        assert [entry["number"] for entry in await store.history()] == [1]
        await database.close()


async def test_a_change_of_a_newer_version_changes_nothing_here(database: Database) -> None:
    store = SqliteMemoryStore(database)
    item = Experience.create("s", "refund", "check the order")
    await store.add_experience(item)
    await database.write(lambda db: db.execute("insert into memory_log(at, change, item_id) values(0, 'blessed', ?)", (item.experience_id,)).rowcount)
    await store.rebuild()

    assert await store.get(item.experience_id) == item
    assert [entry["change"] for entry in await store.history()] == ["added", "blessed"]
