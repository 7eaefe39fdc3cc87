"""What is locked, full or broken is told to everybody, and the store stays usable."""

import asyncio
import contextlib
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.errors import StoreBusy, StoreFull, StoreUnusable
from agent.storage.sqlite import writer
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.faults import fault_of


@contextlib.asynccontextmanager
async def opened(path: Path, *, may_block_loop: bool = True, busy_timeout_s: float = 5.0) -> AsyncIterator[Database]:
    database = await Database.open(path, may_block_loop=may_block_loop, busy_timeout_s=busy_timeout_s)
    await database.alone(lambda db: db.execute("create table thing(n integer not null unique, data blob)").rowcount)
    try:
        yield database
    finally:
        await database.close()


def put(n: int, data: bytes = b"") -> Callable[[sqlite3.Connection], int]:
    def change(db: sqlite3.Connection) -> int:
        db.execute("insert into thing values(?, ?)", (n, data))
        return n

    return change


async def count(database: Database) -> int:
    ((n,),) = await database.read(lambda db: db.execute("select count(*) from thing").fetchall())
    return int(n)


@pytest.mark.parametrize("may_block_loop", [True, False])
async def test_a_lock_of_another_process_is_waited_for_and_then_told(tmp_path: Path, *, may_block_loop: bool) -> None:
    async with opened(tmp_path / "runs.db", may_block_loop=may_block_loop, busy_timeout_s=0.2) as database:
        with contextlib.closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(StoreBusy, match="locked"):
                await database.write(put(1))
            assert await count(database) == 0
            other.execute("rollback")

        assert await database.write(put(1)) == 1


async def test_a_locked_file_cannot_be_opened_for_the_first_time(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(StoreBusy):
            await Database.open(tmp_path / "runs.db", busy_timeout_s=0.2)


@pytest.mark.parametrize("may_block_loop", [True, False])
async def test_a_full_disk_is_told_to_all_and_the_store_stays_usable(tmp_path: Path, *, may_block_loop: bool) -> None:
    async with opened(tmp_path / "runs.db", may_block_loop=may_block_loop) as database:
        connections = (database.writer._db, database._here)
        for db in connections:
            ((pages,),) = db.execute("pragma page_count").fetchall()
            db.execute(f"pragma max_page_count={pages + 20}")

        outcomes = await asyncio.gather(*(database.write(put(n, b"x" * 50_000)) for n in range(5)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} & {StoreFull}
        stored = sum(not isinstance(outcome, Exception) for outcome in outcomes)
        with pytest.raises(StoreFull, match="no space left"):
            await database.write(put(50, b"x" * 200_000))
        assert await count(database) == stored
        for db in connections:
            db.execute("pragma max_page_count=1000000")
        await asyncio.gather(*(database.write(put(n + 100, b"x" * 50_000)) for n in range(5)))
        assert await count(database) == stored + 5


async def test_a_limit_on_the_size_of_files_is_told_and_the_store_stays_usable(tmp_path: Path) -> None:
    code = """
import asyncio, resource, sys
from agent.errors import StoreFull, StoreUnusable
from agent.storage.sqlite.database import Database

async def main():
    database = await Database.open(sys.argv[1])
    await database.alone(lambda db: db.execute("create table thing(data blob)").rowcount)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    put = lambda db: db.execute("insert into thing values(zeroblob(50000))").rowcount
    outcomes = [await asyncio.gather(database.write(put), database.write(put), return_exceptions=True) for _ in range(10)]
    kinds = {type(outcome).__name__ for pair in outcomes for outcome in pair}
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    stored = sum(outcome == 1 for pair in outcomes for outcome in pair)
    await database.write(put)
    found = await database.read(lambda db: db.execute("select count(*) from thing").fetchone()[0])
    await database.close()
    print(sorted(kinds - {"int"}), found == stored + 1)

asyncio.run(main())
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, str(tmp_path / "runs.db")], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout in ("['StoreUnusable'] True\n", "['StoreFull'] True\n", "['StoreFull', 'StoreUnusable'] True\n")


async def test_a_full_disk_in_a_batch_of_which_one_is_refused_is_told_to_all(tmp_path: Path) -> None:
    async with opened(tmp_path / "runs.db", may_block_loop=False) as database:
        ((pages,),) = database.writer._db.execute("pragma page_count").fetchall()
        database.writer._db.execute(f"pragma max_page_count={pages + 5}")

        outcomes = writer.commit(database.writer._db, database.path, [put(1), put(1), put(2, b"x" * 100_000), put(3)])

        assert [type(outcome.error) for outcome in outcomes] == [StoreFull] * 4
        assert await count(database) == 0
        assert [type(outcome.error) for outcome in writer.commit(database.writer._db, database.path, [put(1), put(1), put(3)])] == [
            type(None),
            sqlite3.IntegrityError,
            type(None),
        ]


async def test_a_keyboard_interrupt_in_a_commit_leaves_nothing_open(tmp_path: Path) -> None:
    def interrupted(db: sqlite3.Connection) -> None:
        db.execute("insert into thing values(1, null)")
        raise KeyboardInterrupt

    async with opened(tmp_path / "runs.db") as database:
        with pytest.raises(KeyboardInterrupt):
            writer.commit(database._here, database.path, [interrupted])
        assert await database.write(put(2)) == 2
        assert await count(database) == 1


async def test_a_transaction_that_was_left_open_is_ended_by_the_next_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "runs.db") as database:
        for db in (database._here, database.writer._db):
            db.execute("begin")
        assert await database.write(put(1)) == 1
        assert await asyncio.gather(*(database.write(put(n)) for n in range(2, 12))) == list(range(2, 12))
        assert await count(database) == 11


@pytest.mark.parametrize("is_small", [True, False])
async def test_a_question_that_is_wrong_is_told(tmp_path: Path, *, is_small: bool) -> None:
    async with opened(tmp_path / "runs.db") as database:
        with pytest.raises(StoreUnusable, match="no such table"):
            await database.read(lambda db: db.execute("select * from nowhere").fetchall(), is_small=is_small)


async def test_a_small_question_that_meets_a_lock_is_asked_in_a_thread(tmp_path: Path) -> None:
    async with opened(tmp_path / "runs.db") as database:
        asked: list[sqlite3.Connection] = []

        def question(db: sqlite3.Connection) -> int:
            asked.append(db)
            if len(asked) == 1:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return 7

        assert await database.read(question, is_small=True) == 7
        assert asked[0] is not asked[1]


async def test_callers_whose_loop_is_gone_do_not_stop_the_writer(tmp_path: Path) -> None:
    async with opened(tmp_path / "runs.db", may_block_loop=False) as database:

        async def begin_and_leave() -> None:
            task = asyncio.create_task(database.write(put(1)))
            await asyncio.sleep(0)
            task.cancel()

        await asyncio.to_thread(asyncio.run, begin_and_leave())
        assert await database.write(put(2)) == 2
        assert await count(database) == 2


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_BUSY_SNAPSHOT,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_NOMEM,
        None,
    ],
)
def test_every_fault_names_the_file(code: int | None) -> None:
    error = sqlite3.OperationalError("why")
    if code is not None:
        error.sqlite_errorcode = code

    assert "'/data/runs.db'" in str(fault_of(error, Path("/data/runs.db")))
