"""Copies while runs go on, and back."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.errors import AgentError, BadInput, ForeignFile, FormatTooNew, StoreUnusable
from agent.models.trace import Trace
from agent.storage.ram.traces import RamTraceStore
from agent.storage.sqlite.backup import restore
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.traces import SqliteTraceStore
from agent.testing.contracts.trace_samples import fact, opened, sequences


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteTraceStore]:
    async with opened_store(tmp_path / "runs.db") as store:
        yield store


@contextlib.asynccontextmanager
async def opened_store(path: Path) -> AsyncIterator[SqliteTraceStore]:
    database = await Database.open(path)
    store = SqliteTraceStore(database)
    try:
        yield store
    finally:
        await store.close()
        await database.close()


async def test_a_backup_is_whole_while_runs_go_on_and_can_be_restored(store: SqliteTraceStore, tmp_path: Path) -> None:
    traces = [await opened(store, [fact("", n, text=os.urandom(1500).hex()) for n in range(100)]) for _ in range(5)]
    is_done = asyncio.Event()

    async def append(trace: Trace) -> None:
        sequence = 100
        while not is_done.is_set():
            await store.add_steps(trace.trace_id, [fact(trace, sequence)], epoch=1)
            sequence += 1

    async with asyncio.TaskGroup() as group:
        for trace in traces:
            group.create_task(append(trace))
        size = await store.backup(tmp_path / "copy of runs.db")
        is_done.set()

    assert size > 1_000_000  # so that it takes several steps
    assert restore(tmp_path / "copy of runs.db", tmp_path / "back.db") >= 1
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]  # noqa: PTH208
    async with opened_store(tmp_path / "back.db") as back:
        for trace in traces:
            steps = await back.read_steps(trace.trace_id)
            assert sequences(steps) == list(range(len(steps)))
            assert (await back.verify(trace.trace_id)).entries == len(steps) >= 100


async def test_a_copy_overwrites_nothing_and_names_what_is_wrong(store: SqliteTraceStore, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("words")
    (tmp_path / "empty").touch()
    await store.backup(tmp_path / "good.db")

    with pytest.raises(BadInput, match="nothing is overwritten"):
        await store.backup(tmp_path / "precious")
    with pytest.raises(BadInput, match="nothing is overwritten"):
        restore(tmp_path / "good.db", tmp_path / "precious")
    with pytest.raises(StoreUnusable, match="does not exist"):
        await store.backup(tmp_path / "missing" / "copy.db")
    with pytest.raises(ForeignFile):
        restore(tmp_path / "precious", tmp_path / "new.db")
    with pytest.raises(ForeignFile):
        restore(tmp_path / "empty", tmp_path / "new.db")
    with pytest.raises(StoreUnusable, match="there is no file"):
        restore(tmp_path / "missing.db", tmp_path / "new.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "good.db")) as db:
        db.execute("pragma user_version=99")
    with pytest.raises(FormatTooNew):
        restore(tmp_path / "good.db", tmp_path / "new.db")
    assert (tmp_path / "precious").read_text() == "words"
    assert not (tmp_path / "new.db").exists()


async def test_a_copy_of_a_damaged_file_is_no_copy(store: SqliteTraceStore, tmp_path: Path) -> None:
    await opened(store, [fact("", n, text=os.urandom(1500).hex()) for n in range(100)])
    await store.backup(tmp_path / "good.db")
    content = bytearray((tmp_path / "good.db").read_bytes())
    content[200_000:210_000] = b"\xee" * 10_000
    (tmp_path / "bad.db").write_bytes(content)

    with pytest.raises(AgentError):
        restore(tmp_path / "bad.db", tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()


async def test_a_file_system_without_links_is_no_hindrance(store: SqliteTraceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    await opened(store, [fact("", 0)])
    monkeypatch.setattr(Path, "hardlink_to", refuse)

    assert await store.backup(tmp_path / "copy.db") == (tmp_path / "copy.db").stat().st_size
    assert restore(tmp_path / "copy.db", tmp_path / "back.db") >= 1


async def test_of_two_copies_to_one_name_one_wins(store: SqliteTraceStore, tmp_path: Path) -> None:
    await opened(store, [fact("", n, text=os.urandom(3000).hex()) for n in range(300)])

    outcomes = await asyncio.gather(*(store.backup(tmp_path / "copy.db") for _ in range(2)), return_exceptions=True)

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["BadInput", "int"]


async def test_a_store_in_memory_has_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file"):
        await RamTraceStore().backup(tmp_path / "copy.db")
