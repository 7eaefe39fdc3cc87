"""Edits of a memory behind its back are found; what was forgotten through its door is not one."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.clock import to_ms
from agent.errors import StoreUnusable
from agent.models.memory import Experience, Skill
from agent.models.trace import Trace
from agent.storage.memory_chain import pledge
from agent.storage.memory_log import Change, encode
from agent.storage.sqlite.backup import copy
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore
from agent.storage.sqlite.schema import APPLICATION_ID, migrations, statements
from agent.storage.sqlite.traces import SqliteTraceStore


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "runs.db")
    yield database
    await database.close()


async def execute(database: Database, statement: str) -> None:
    await database.write(lambda db: db.execute(statement).rowcount)


async def filled(database: Database) -> SqliteMemoryStore:
    store = SqliteMemoryStore(database)
    first = Experience.create("s", "refund a card", "ask first", uid="a")
    await store.add_experience(first)
    await store.supersede(first.experience_id, Experience.create("s", "refund a card", "ask twice", uid="a"), by="Ann")
    await store.add_skill(Skill.create("s", "refunds", "how to", "words"))
    await store.forget(await store.add_experience(Experience.create("s", "to be forgotten", "secret")), by="Bob")
    return store


@pytest.mark.parametrize(
    ("tampering", "words"),
    [
        ("update memory_log set data=(select data from memory_log where number=3) where number=1", "entry 1"),
        ("update memory_log set data=null where number=1", "entry 1"),
        ("update memory_log set data=null, salt=null where number=1", "no entry says that it was forgotten"),
        ("update memory_log set salt=null where number=1", "entry 1"),
        ("update memory_log set at=at+1 where number=2", "entry 2"),
        ("update memory_log set uid='b' where number=2", "entry 2"),
        ("update memory_log set uid=null where number=2", "entry 2"),
        ("update memory_log set change='retired' where number=2", "entry 2"),
        ("update memory_log set item_id='other' where number=4", "entry 4"),
        ("update memory_log set by='Eve' where number=2", "entry 2"),
        ("update memory_log set successor='other' where number=2", "entry 2"),
        ("update memory_log set hash=null", "entry 1"),
        ("update memory_log set hash=null, pledge=null, salt=null", "entry 1"),
        ("update memory_log set at='then' where number=2", "cannot be read"),
        ("update memory_log set number=number+10", "entry 11"),
        ("update memory_log set number=9 where number=4", "entry 5"),
        ("delete from memory_log where number=1", "entry 2"),
        ("delete from memory_log where number=6", "no entry says that it was forgotten"),
        ("delete from memory_log where number>=4", "memory_shelf"),
        ("delete from memory_item", "memory_item"),
        ("update memory_item set state='active'", "memory_item"),
        ("update memory_item set data=(select max(data) from memory_item)", "memory_item"),
        ("update memory_item set valid_to=null", "memory_item"),
        ("update memory_shelf set owner=''", "memory_shelf"),
        ("delete from memory_posting", "memory_posting"),
        ("update memory_posting set count=count+1", "memory_posting"),
        ("insert into memory_posting select shelf, 'zebra', item, 1, 5 from memory_posting limit 1", "memory_posting"),
    ],
)
async def test_an_edit_of_the_file_is_found_and_named(database: Database, tampering: str, words: str) -> None:
    store = await filled(database)
    assert (await store.verify()).entries == 6
    await execute(database, tampering)

    with pytest.raises(StoreUnusable, match=words):
        await store.verify()


async def test_a_memory_rolled_back_to_an_older_state_is_found_by_a_head_kept_elsewhere(database: Database, tmp_path: Path) -> None:
    store = await filled(database)
    older = tmp_path / "older.db"
    copy(database.path, older)
    await store.add_experience(Experience.create("s", "later", ""))
    head = (await store.verify()).head

    rolled_back = await Database.open(older)
    try:
        assert (await SqliteMemoryStore(rolled_back).verify()).entries == 6
        with pytest.raises(StoreUnusable, match="put back to an older one"):
            await SqliteMemoryStore(rolled_back).verify(head=head)
    finally:
        await rolled_back.close()


async def test_a_memory_of_the_first_format_is_chained_when_it_is_first_opened(database: Database) -> None:
    def as_format_1(db: sqlite3.Connection) -> None:
        db.execute("create table part(name text primary key, version integer not null) without rowid")
        for statement in statements(migrations("memory")[0][1]):
            db.execute(statement)
        db.execute("insert into part values('memory', 1)")

    await database.write(as_format_1)
    item = Experience.create("s", "refund", "ask")
    await database.write(lambda db: _old_row(db, item))

    store = SqliteMemoryStore(database)
    assert (await store.verify()).entries == 1
    assert await store.search_experiences("s", "refunds") == [item]
    await store.retire(item.experience_id)
    assert (await store.verify()).entries == 2


async def test_what_an_older_version_recorded_is_indexed_anew_when_it_is_first_opened(tmp_path: Path) -> None:
    """Format 2 of a memory had an index of active items only, and format 2 of the file no note of what is to be learnt."""
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for number, script in [*migrations()[:2], *migrations("memory")[:2]]:
            for statement in statements(script):
                db.execute(statement)
            assert number <= 2
        db.execute(f"pragma application_id={APPLICATION_ID}")
        db.execute("pragma user_version=2")
        db.execute("create table part(name text primary key, version integer not null) without rowid")
        db.execute("insert into part values('memory', 2)")
        link = b""
        for item in (Experience.create("s", "refund", "ask"), Experience.create("s", "refund", "ask twice", state="shadow", experience_id="shadow")):
            change = Change(at=item.created_at, change="added", item_id=item.experience_id, uid=None, data=encode(item))
            number = db.execute("select count(*) from memory_log").fetchone()[0] + 1
            made = pledge(link, number, change)
            link = made.link
            row = (number, to_ms(change.at), "added", item.experience_id, change.data, *made)
            db.execute("insert into memory_log(number, at, change, item_id, data, salt, pledge, hash) values(?, ?, ?, ?, ?, ?, ?, ?)", row)

    database = await Database.open(path)
    store = SqliteMemoryStore(database)
    found = await store.search("refunds", scopes=["s"], states=("active", "shadow"))
    assert len(found) == 2
    assert (await store.verify()).entries == 2
    await SqliteTraceStore(database).create_trace(Trace.create(trace_id="t", signalled=0))
    assert [trace.trace_id for trace in await SqliteTraceStore(database).list_traces(is_unlearnt=True)] == ["t"]
    await database.close()


def _old_row(db: sqlite3.Connection, item: Experience) -> None:
    db.execute("insert into memory_log(at, change, item_id, data) values(5, 'added', ?, ?)", (item.experience_id, encode(item)))
    db.execute("insert into memory_shelf(kind, scope, owner, no, tokenizer) values('experience', 's', '', 1, 'old')")
