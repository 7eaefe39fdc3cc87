"""What a program does not use does not weigh on its file, and what it uses comes whole."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.clock import now
from agent.errors import BadInput, ExperienceNotFound, FormatTooNew
from agent.models.memory import Experience, Skill
from agent.models.trace import Step, Trace, step_id_of
from agent.storage.sqlite import parts
from agent.storage.sqlite.parts import Part, ensure, version_of
from agent.storage.sqlite.schema import migrations
from agent.storage.sqlite.states import delete_state, set_state
from agent.storage.sqlite.store import SqliteStore

ITEM = Experience.create("s", "refund of a card", "check the order")

BOTH_WRITE = """
import asyncio, sys
from pathlib import Path
from agent.models.memory import Experience
from agent.storage.sqlite.store import SqliteStore

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    print("open", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(store.memories.add_experience(Experience.create("s", f"refund {n}", sys.argv[2])) for n in range(20)))
    await asyncio.gather(*(store.states.set(f"{sys.argv[2]} {n}", n) for n in range(20)))
    await store.close()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(path)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with opened(tmp_path / "runs.db") as store:
        yield store


def tables_in(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("select name from sqlite_master where type = 'table'").fetchall()}


def pages_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("pragma page_count").fetchone()[0])


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


async def record_a_run(store: SqliteStore, trace_id: str = "t") -> None:
    await store.traces.open_trace(Trace.create(trace_id=trace_id), [])
    await store.traces.add_steps(trace_id, [Step(step_id_of(trace_id, 0), trace_id, "note", 0, (), {"text": "hello"})], epoch=1)


# ---- a part that nobody wrote to


async def test_a_store_in_which_only_runs_were_recorded_has_no_tables_for_anything_else(tmp_path: Path) -> None:
    async with opened(tmp_path / "runs.db") as store:
        await record_a_run(store)

        assert (await store.traces.verify("t")).entries == 1
    assert not {name for name in tables_in(tmp_path / "runs.db") if name == "part" or name.startswith(("memory", "state"))}


async def test_questions_and_vain_changes_write_nothing_to_a_fresh_file(tmp_path: Path, store: SqliteStore) -> None:
    before = bytes_in(tmp_path)
    memories, states = store.memories, store.states

    assert await memories.search_experiences("s", "refund a card") == []
    assert await memories.search_skills("s", "refund a card", uid="u") == []
    assert (await memories.list(), await memories.list(kind="skill", uid="u"), await memories.history(item_id="x")) == ([], [], [])
    assert (await memories.get("x"), await states.get("k"), await states.list()) == (None, None, [])
    assert await states.delete("k") is False
    with pytest.raises(ExperienceNotFound):
        await memories.forget("x")
    with pytest.raises(BadInput):
        await memories.add_experience(Experience.create("\ud800", "half a character", ""))
    assert bytes_in(tmp_path) == before


async def test_a_question_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await Part(store.database, "state").read(lambda db: db.execute("insert into state_used values('', 1)").rowcount)


async def test_copies_and_pruning_do_not_need_the_parts(tmp_path: Path, store: SqliteStore) -> None:
    await record_a_run(store)
    await store.traces.update_trace("t", status="completed")
    await store.traces.backup(tmp_path / "runs only.db")
    await store.memories.add_experience(ITEM)
    await store.traces.backup(tmp_path / "all.db")

    assert await store.traces.prune(before=now()) == ["t"]
    for name, found in (("runs only.db", []), ("all.db", [ITEM])):
        async with opened(tmp_path / name) as copy:
            assert (await copy.traces.verify("t")).entries == 1
            assert await copy.memories.search_experiences("s", "refund") == found


# ---- the first write


async def test_each_part_comes_alone_and_is_small(tmp_path: Path) -> None:
    writes: dict[str, Callable[[SqliteStore], Awaitable[Any]]] = {
        "none": lambda store: store.states.get("k"),
        "memory": lambda store: store.memories.add_experience(ITEM),
        "state": lambda store: store.states.set("k", 1),
    }
    for name, write in writes.items():
        async with opened(tmp_path / name) as store:
            await write(store)

    none, memory, state = (tables_in(tmp_path / name) for name in writes)
    assert memory - none == {"part", "memory_log", "memory_shelf", "memory_item", "memory_posting", "memory_origin", "memory_use", "memory_used"}
    assert state - none == {"part", "state", "state_used"}
    assert pages_of(tmp_path / "memory") - pages_of(tmp_path / "none") <= 16
    assert pages_of(tmp_path / "state") - pages_of(tmp_path / "none") <= 5


async def test_a_first_change_that_is_refused_leaves_no_tables(store: SqliteStore) -> None:
    def refuse(db: sqlite3.Connection) -> None:
        db.execute("insert into state_used values('', 1)")
        raise LookupError("refused")

    part = Part(store.database, "state")
    with pytest.raises(LookupError):
        await part.write(refuse)
    assert await store.database.read(lambda db: version_of(db, "state")) == 0
    assert await store.states.list() == []


async def test_of_many_first_changes_at_once_the_refused_fail_alone(store: SqliteStore) -> None:
    def put(n: int) -> Callable[[sqlite3.Connection], int]:
        def change(db: sqlite3.Connection) -> int:
            if n % 2 == 0:
                raise LookupError(n)
            return db.execute("insert into state_used values(?, 1)", (str(n),)).rowcount

        return change

    part = Part(store.database, "state")
    store.database.drivers = 2  # so that they share a transaction
    outcomes = await asyncio.gather(*(part.write(put(n)) for n in range(20)), return_exceptions=True)

    assert [isinstance(outcome, LookupError) for outcome in outcomes] == [n % 2 == 0 for n in range(20)]
    assert await part.read(lambda db: db.execute("select count(*) from state_used").fetchone()) == (10,)


async def test_a_state_brings_its_tables_into_the_transaction_of_something_else(store: SqliteStore) -> None:
    def note(db: sqlite3.Connection) -> tuple[bool, int]:
        was_there = delete_state(db, "", "k", now_ms=0)
        return was_there, set_state(db, "", "k", "[1]", if_version=0, expires_ms=None, now_ms=0)

    assert await store.database.write(note) == (False, 1)
    assert await store.states.get("k") == [1]


# ---- several processes


async def test_what_another_process_wrote_first_is_seen(tmp_path: Path, store: SqliteStore) -> None:
    async with opened(tmp_path / "runs.db") as other:
        assert await store.memories.search_experiences("s", "refund") == []
        assert await store.states.list() == []
        await other.memories.add_experience(ITEM)
        await other.states.set("k", 1)

        assert await store.memories.search_experiences("s", "refund") == [ITEM]
        assert await store.states.get("k") == 1
        skill_id = await store.memories.add_skill(Skill.create("s", "n", "d", "text"))
        assert [skill.skill_id for skill in await other.memories.search_skills("s", "text")] == [skill_id]


async def test_two_processes_may_be_the_first_at_once(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-c", BOTH_WRITE, str(path)]
        writers = [stack.enter_context(subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)) for name in ("a", "b")]  # noqa: ASYNC220
        await asyncio.to_thread(_start_together, writers)

    assert [writer.returncode for writer in writers] == [0, 0]
    async with opened(path) as store:
        assert len(await store.memories.search_experiences("s", "refund", limit=99)) == 40
        assert [len(await store.states.list(prefix)) for prefix in ("a", "b")] == [20, 20]
        assert await store.database.read(lambda db: db.execute("select name, version from part").fetchall()) == [("memory", 3), ("state", 1)]


def _start_together(writers: list[subprocess.Popen[bytes]]) -> None:
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)


# ---- formats


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the program know a second format of states, made by the script."""

    def know(script: str) -> None:
        monkeypatch.setattr(parts, "migrations", lambda name: (*migrations(name), (2, script)) if name == "state" else migrations(name))

    return know


@pytest.mark.parametrize("is_read_first", [True, False])
async def test_a_part_of_an_older_format_is_brought_up_to_date_when_it_is_used(tmp_path: Path, later: Callable[[str], None], is_read_first: bool) -> None:
    async with opened(tmp_path / "runs.db") as store:
        await store.states.set("k", "old")
    later("alter table state add column note text; update state set note = 'migrated';")
    async with opened(tmp_path / "runs.db") as store:
        if is_read_first:
            assert await store.states.get("k") == "old"
        else:
            assert await store.states.set("k", "new", if_version=1) == 2

        assert await store.database.read(lambda db: db.execute("select note from state").fetchall()) == [("migrated",)]
        assert await store.database.read(lambda db: version_of(db, "state")) == 2


async def test_a_part_that_is_missing_is_made_in_the_newest_format(store: SqliteStore, later: Callable[[str], None]) -> None:
    later("create table state_note(text);")
    part = Part(store.database, "state")

    assert await part.read(lambda db: db.execute("select count(*) from state_note").fetchone()) == (0,)
    assert await part.write(lambda db: db.execute("insert into state_note values('x')").rowcount) == 1
    assert await store.database.read(lambda db: version_of(db, "state")) == 2


async def test_a_part_stays_as_it_was_where_it_cannot_be_brought_up_to_date(store: SqliteStore, later: Callable[[str], None], tmp_path: Path) -> None:
    await store.states.set("k", "old")
    later("create table state_note(text); insert into missing values(1);")
    async with opened(tmp_path / "runs.db") as other:
        with pytest.raises(sqlite3.OperationalError, match="no such table: missing"):
            await other.states.get("k")

    assert await store.database.read(lambda db: db.execute("select name from sqlite_master where name = 'state_note'").fetchall()) == []
    assert await store.database.read(lambda db: db.execute("select version from part").fetchall()) == [(1,)]


async def test_a_part_of_a_newer_format_is_left_alone_and_the_rest_goes_on(tmp_path: Path, store: SqliteStore) -> None:
    await store.states.set("k", "old")
    await store.database.write(lambda db: db.execute("update part set version = 99").rowcount)

    async with opened(tmp_path / "runs.db") as other:
        with pytest.raises(FormatTooNew, match=r"the state in '.*runs\.db' has format 99, .* formats up to 1: install a newer seasoned"):
            await other.states.get("k")
        with pytest.raises(FormatTooNew):
            await other.states.set("k", "new")
        await record_a_run(other)
        await other.memories.add_experience(ITEM)
        assert await other.memories.get(ITEM.experience_id) == ITEM


async def test_a_part_is_made_once(store: SqliteStore) -> None:
    await store.states.set("k", 1)

    await store.database.write(lambda db: ensure(db, "state"))
    assert await store.states.get("k") == 1
