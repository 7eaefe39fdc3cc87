"""One file: opened safely, written in groups, usable after every fault."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.errors import AgentError, ForeignFile, FormatTooNew, StoreClosed, StoreUnusable
from agent.storage.sqlite import schema
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.schema import APPLICATION_ID, migrations, statements


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "runs.db") as database:
        await database.alone(lambda db: db.execute("create table thing(n integer not null unique, data blob)").rowcount)
        yield database


@contextlib.asynccontextmanager
async def opened(path: Path | str, *, may_block_loop: bool = True, busy_timeout_s: float = 5.0) -> AsyncIterator[Database]:
    database = await Database.open(path, may_block_loop=may_block_loop, busy_timeout_s=busy_timeout_s)
    try:
        yield database
    finally:
        await database.close()


def put(n: int, data: bytes = b"") -> "Put":
    return Put(n, data)


class Put:
    def __init__(self, n: int, data: bytes) -> None:
        self.n, self.data = n, data

    def __call__(self, db: sqlite3.Connection) -> int:
        if self.n < 0:
            raise ValueError(f"{self.n} is refused")
        db.execute("insert into thing values(?, ?)", (self.n, self.data))
        return self.n


async def count(database: Database) -> int:
    ((n,),) = await database.read(lambda db: db.execute("select count(*) from thing").fetchall())
    return int(n)


def let_in(folder: Path) -> None:
    """Let other users reach the folder, below those that all may reach."""
    for each in (folder, *folder.parents):
        if each.stat().st_uid == os.geteuid() and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o111)


# ---- opening


@pytest.mark.parametrize("name", ["runs.db", "with space.db", "数据库.db", "per%20cent?&#.db", "-dash.db"])
async def test_a_file_of_any_name_is_created_and_opened_again(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        async with opened(tmp_path / name) as database:
            assert await database.read(lambda db: db.execute("pragma user_version").fetchone()) == (migrations()[-1][0],)

    assert os.listdir(tmp_path) == [name]  # noqa: PTH208


async def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened("runs.db") as database:
        monkeypatch.chdir("/")
        assert await database.read(lambda db: db.execute("select 1").fetchone()) == (1,)

    assert (tmp_path / "runs.db").exists()


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "runs.db").touch()
    async with opened(tmp_path / "runs.db") as database:
        assert await database.read(lambda db: db.execute("pragma application_id").fetchone()) == (APPLICATION_ID,)
        assert await database.read(lambda db: db.execute("pragma journal_mode").fetchone()) == ("wal",)


@pytest.mark.parametrize("content", [b"hello world", b"\x7fELF" * 100, b"SQLite format 2\0" * 10])
async def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)

    with pytest.raises(ForeignFile, match="is not a database of seasoned"):
        await Database.open(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("script", ["create table t(x)", "pragma user_version=3", "pragma application_id=7"])
async def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, script: str) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(script)
        db.commit()
    before = path.read_bytes()

    with pytest.raises(ForeignFile, match="another program"):
        await Database.open(path)
    assert path.read_bytes() == before


async def test_a_newer_format_is_refused_and_both_versions_named(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with opened(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version=99")

    with pytest.raises(FormatTooNew, match=rf"has format 99, and this version of seasoned knows formats up to {migrations()[-1][0]}"):
        await Database.open(path)


async def test_places_that_cannot_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="is a folder"):
        await Database.open(tmp_path)
    with pytest.raises(StoreUnusable, match=r"folder .* does not exist"):
        await Database.open(tmp_path / "missing" / "runs.db")


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv to give up the rights of root")
@pytest.mark.parametrize(("mode", "words"), [(0o555, "cannot be opened|may not be written"), (0o755, "may not be written|cannot be read")])
async def test_a_place_without_permission_is_named(tmp_path: Path, mode: int, words: str) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    if mode == 0o755:
        async with opened(folder / "runs.db"):
            pass
        (folder / "runs.db").chmod(0o444)
    folder.chmod(mode)
    let_in(tmp_path)
    code = "import asyncio, sys\nfrom agent.storage.sqlite.database import Database\nasyncio.run(Database.open(sys.argv[1]))"
    rights = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = await asyncio.to_thread(subprocess.run, [*rights, sys.executable, "-c", code, str(folder / "runs.db")], capture_output=True, text=True, check=False)

    if "No module named" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("another user cannot run this interpreter")
    assert "StoreUnusable" in done.stderr
    assert any(word in done.stderr for word in words.split("|"))


@pytest.mark.parametrize("damage", [slice(16, 100), slice(100, 4096)])
async def test_a_damaged_file_is_named(tmp_path: Path, damage: slice) -> None:
    path = tmp_path / "runs.db"
    async with opened(path):
        pass
    content = bytearray(path.read_bytes())
    content[damage] = b"\xee" * (damage.stop - damage.start)
    path.write_bytes(content)

    with pytest.raises((StoreUnusable, ForeignFile)) as caught:
        await Database.open(path)
    assert str(path) in str(caught.value)


async def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from agent.storage.sqlite.database import Database

async def main():
    sys.stdin.readline()
    await (await Database.open(sys.argv[1])).close()

asyncio.run(main())
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "runs.db")], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: ASYNC220
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    assert [(await asyncio.to_thread(process.communicate))[1] for process in processes] == [""] * 4
    assert [process.returncode for process in processes] == [0] * 4


async def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs.db"
    async with opened(path):
        pass
    number = migrations()[-1][0]
    broken = (*migrations(), (number + 1, "create table later(x); insert into nothing values(1);"))
    monkeypatch.setattr(schema, "migrations", lambda: broken)

    with pytest.raises(AgentError):
        await Database.open(path)
    monkeypatch.undo()
    async with opened(path) as database:
        assert await database.read(lambda db: db.execute("select count(*) from sqlite_master where name='later'").fetchone()) == (0,)


def test_a_script_is_split_where_statements_end() -> None:
    script = "create table a(x default ';');\n-- a; comment\ncreate trigger t after insert on a begin select 1; select 2; end;"

    assert [statement.split()[1] for statement in statements(script)] == ["table", "a;"]
    assert list(statements(script))[1].endswith("end;")


# ---- writing


async def test_concurrent_changes_share_commits(database: Database) -> None:
    values = await asyncio.gather(*(database.write(put(n)) for n in range(200)))

    assert values == list(range(200))
    assert database.writer.commits + database.commits_here < 20
    assert await count(database) == 200


@pytest.mark.parametrize("may_block_loop", [True, False])
async def test_a_refused_change_fails_alone(tmp_path: Path, *, may_block_loop: bool) -> None:
    async with opened(tmp_path / "runs.db", may_block_loop=may_block_loop) as database:
        await database.alone(lambda db: db.execute("create table thing(n integer not null unique, data blob)").rowcount)
        changes = [put(-n if n == 77 else 5 if n == 88 else n) for n in range(200)]

        outcomes = await asyncio.gather(*(database.write(change) for change in changes), return_exceptions=True)

        refused = {n: type(outcome) for n, outcome in enumerate(outcomes) if isinstance(outcome, Exception)}
        assert refused == {77: ValueError, 88: sqlite3.IntegrityError}
        assert await count(database) == 198


async def test_a_change_that_breaks_half_way_leaves_nothing(database: Database) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("insert into thing values(1, null)")
        db.execute("insert into nowhere values(1)")

    batches: list[list[Callable[[sqlite3.Connection], object]]] = [[half], [put(2), half, put(3)]]
    for changes in batches:
        outcomes = await asyncio.gather(*(database.write(change) for change in changes), return_exceptions=True)
        assert sum(isinstance(outcome, sqlite3.OperationalError) for outcome in outcomes) == 1
    assert await count(database) == 2


async def test_a_run_that_is_alone_commits_on_the_loop_and_others_get_their_turn(database: Database) -> None:
    database.writer.pace_s = 0.0
    turns = 0

    async def other() -> None:
        nonlocal turns
        while turns < 1000:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(other())
        for n in range(10):
            await database.write(put(n))
            database.writer.pace_s = 0.0  # however busy this machine's disk is
        seen = turns
        turns = 1000

    assert database.commits_here == 10
    assert seen >= 5


async def test_a_slow_disk_or_several_runs_commit_in_the_thread(database: Database) -> None:
    for drivers, pace_s in ((2, 0.0), (0, 1.0)):
        database.drivers, database.writer.pace_s = drivers, pace_s
        before = database.commits_here
        await database.write(put(drivers))
        assert database.commits_here == before


async def test_a_cancelled_caller_breaks_nothing(database: Database) -> None:
    database.drivers = 2
    tasks = [asyncio.create_task(database.write(put(n))) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await database.write(put(1000))

    assert sum(task.cancelled() for task in tasks) == 25
    assert await count(database) == 51


async def test_what_runs_alone_is_in_no_transaction(database: Database) -> None:
    database.drivers = 2
    outcomes = await asyncio.gather(
        *(database.write(put(n)) for n in range(20)),
        database.alone(lambda db: db.in_transaction),
        database.alone(lambda db: db.execute("vacuum").fetchall()),
        *(database.write(put(n)) for n in range(20, 40)),
    )

    assert outcomes[20:22] == [False, []]
    assert await count(database) == 40
    with pytest.raises(ZeroDivisionError):
        await database.alone(lambda db: 1 // 0)


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnusable):
        await database.read(lambda db: db.execute("insert into thing values(1, null)").rowcount)


async def test_close_writes_what_was_handed_over_and_then_refuses(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "runs.db", may_block_loop=False)
    await database.alone(lambda db: db.execute("create table thing(n integer not null unique, data blob)").rowcount)
    pending = [asyncio.create_task(database.write(put(n))) for n in range(20)]
    await asyncio.sleep(0)
    await database.close()
    await database.close()

    assert await asyncio.gather(*pending) == list(range(20))
    with pytest.raises(StoreClosed):
        await database.write(put(99))
    with pytest.raises(StoreClosed):
        await database.alone(put(99))
    for is_small in (True, False):
        with pytest.raises(StoreClosed):
            await database.read(lambda db: 1, is_small=is_small)
    assert not (tmp_path / "runs.db-wal").exists()


async def test_one_database_serves_two_event_loops(database: Database) -> None:
    async def write(first: int) -> list[int]:
        return [await database.write(put(n)) for n in range(first, first + 30)]

    outcomes = tuple(await asyncio.gather(write(0), asyncio.to_thread(asyncio.run, write(100))))

    assert outcomes == (list(range(30)), list(range(100, 130)))
