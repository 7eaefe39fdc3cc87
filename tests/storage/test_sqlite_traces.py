"""What the contract cannot see: tampering, other processes, heartbeats, bytes on the disk, copies."""

import asyncio
import contextlib
import itertools
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.errors import Fenced, SequenceTaken, StoreClosed, StoreUnusable
from agent.models.trace import step_id_of
from agent.storage import liveness
from agent.storage.codec import erase
from agent.storage.prune import Wanted
from agent.storage.sqlite import rows, upkeep
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.traces import SqliteTraceStore
from agent.testing.contracts.trace_samples import MOMENT, a_run, fact, opened, recorded, sequences


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteTraceStore]:
    async with opened_store(tmp_path / "runs.db") as store:
        yield store


@contextlib.asynccontextmanager
async def opened_store(path: Path, *, may_block_loop: bool = True) -> AsyncIterator[SqliteTraceStore]:
    database = await Database.open(path, may_block_loop=may_block_loop)
    store = SqliteTraceStore(database)
    try:
        yield store
    finally:
        await store.close()
        await database.close()


async def execute(store: SqliteTraceStore, *statements: str) -> None:
    def run(db: sqlite3.Connection) -> None:
        for statement in statements:
            db.execute(statement)

    await store.database.write(run)


async def tamper_and_verify(store: SqliteTraceStore, tampering: str, trace_id: str) -> None:
    await execute(store, tampering)
    await store.verify(trace_id)


# ---- verify


@pytest.mark.parametrize(
    ("tampering", "words"),
    [
        ("update step set kind='tool_call' where seq=2", "step 2"),
        ("update step set at=at+1 where seq=3", "step 3"),
        ("update step set epoch=9 where seq=0", "step 0"),
        ("update step set parents='0' where seq=4", "step 4"),
        ("update step set data=(select data from step where seq=1) where seq=3", "step 3"),
        ("update step set data=cast(x'80' || substr(data, -8) as blob) where seq=3", "step 3"),
        ("update step set data=cast(x'00' || zeroblob(16) as blob) where seq=3", "step 3"),
        ("update step set data='text' where seq=3", "step 3"),
        ("update step set data=x'' where seq=3", "step 3"),
        ("update step set data=cast(x'ff' as text) where seq=3", "could not be used"),
        ("update step set data=null where seq=3", "NOT NULL"),
        ("update step set seq=50 where seq=3", "step 50"),
        ("update step_name set name='other'", "step 6"),
        ("delete from step_name", "step 6"),
        ("delete from step where seq=3", "step 4"),
        ("delete from step where seq=0", "step 1"),
        ("delete from step where seq>=5", "at its end"),
        ("delete from step", "at its end"),
        ("insert into step select null, trace, 99, epoch, kind, at, parents, hash, data from step where seq=2", "step 99"),
        ("update step set id=id+1000 where seq=2", "step 3"),
        ("update blob set data=cast(x'00' || 'You are evil.' as blob)", "its blob"),
        ("update blob set data=x''", "its blob"),
        ("delete from blob", "its blob"),
        ("delete from blob_use", "its blob"),
        ("update trace set status='failed'", "its fields"),
        ("update trace set tokens=7", "its fields"),
        ("update trace set cost=.01", "its fields"),
        ("update trace set task='another'", "its fields"),
        ("update trace set uid='another'", "step 0"),
        ("update trace set agent_type='another'", "its fields"),
        ("update trace set created=created+1", "step 0"),
        ("update trace set completed=5", "its fields"),
        ("update trace set conversation='c'", "step 0"),
        ("update trace set parent='p'", "step 0"),
        ("update trace set mode='call'", "step 0"),
        ("update trace set epoch=epoch+1", "its fields"),
        ("update trace set waiting=3", "its fields"),
        ("update trace set context=x'81a0a178'", "its fields"),
        ("update trace set context=x'81'", "cannot be read"),
        ("update trace set created='then'", "cannot be read"),
        ("update trace set seal=null", "its seal"),
        ("update trace set seal=substr(seal, 1, 16)", "its seal"),
        ("update trace set seal=null, format=1", "step 0"),
    ],
)
async def test_tampering_is_found_and_named(store: SqliteTraceStore, tampering: str, words: str) -> None:
    trace = await opened(store, a_run(""))
    await store.add_step(fact(trace, 6, step_id="mine"))
    await store.update_trace(trace.trace_id, status="completed")
    assert (await store.verify(trace.trace_id)).entries == 7

    with pytest.raises((StoreUnusable, sqlite3.IntegrityError), match=words):
        await tamper_and_verify(store, tampering, trace.trace_id)


async def test_a_step_moved_to_another_trace_is_found(store: SqliteTraceStore) -> None:
    await opened(store, a_run(""))
    other = await recorded(store)
    await execute(store, "update step set trace=2 where seq=0")

    with pytest.raises(StoreUnusable, match="step 0"):
        await store.verify(other.trace_id)


async def test_a_payload_that_was_removed_without_a_word_is_found(store: SqliteTraceStore) -> None:
    trace = await opened(store, a_run(""))

    def forget(db: sqlite3.Connection) -> None:
        ((data,),) = db.execute("select data from step where seq=3").fetchall()
        db.execute("update step set data=? where seq=3", (erase(data),))

    await store.database.write(forget)

    with pytest.raises(StoreUnusable, match="no step says that it was erased"):
        await store.verify(trace.trace_id)
    assert (await store.get_steps(trace.trace_id))[3].data["erased"] is True
    assert len(await store.get_trace_steps(trace.trace_id)) == 6


async def test_what_was_erased_is_gone_from_the_file_and_its_journal(store: SqliteTraceStore) -> None:
    steps = a_run("")
    steps[3] = fact(
        "", 3, "tool_call", parents=["/1"], call_id="1.0", tool_name="weather", result="a secret word " * 3, full_result="the secret whole " * 9_000
    )
    trace = await opened(store, steps, task="a task", context={"model": "m"})
    await store.update_trace(trace.trace_id, status="completed")
    before = await store.verify(trace.trace_id)

    assert await store.erase(trace.trace_id, [0, 3], reason="asked to", by="Ann") == [0, 3]

    after = await store.verify(trace.trace_id, head=before.head)
    bytes_left = b"".join(path.read_bytes() for path in store.database.path.parent.iterdir())
    assert b"secret" not in bytes_left
    assert b"Weather?" not in bytes_left
    assert b"a task" not in bytes_left
    assert [(entry.sequences, entry.by, entry.reason) for entry in after.erased] == [((0, 3), "Ann", "asked to")]
    assert (await store.get_step(trace.trace_id, f"{trace.trace_id}/6")).parent_ids == (f"{trace.trace_id}/0", f"{trace.trace_id}/3")


async def test_a_damaged_step_is_named_on_reading(store: SqliteTraceStore) -> None:
    trace = await opened(store, a_run(""))
    await execute(store, "update step set data=x'ff' where seq=3")

    with pytest.raises(StoreUnusable, match=f"{trace.trace_id}/3 is damaged"):
        await store.get_trace_steps(trace.trace_id)
    assert len(await store.read_steps(trace.trace_id, limit=3)) == 3


# ---- two at once

APPENDER = """
import asyncio, sys
from agent.errors import SequenceTaken
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.traces import SqliteTraceStore
from agent.models.trace import Step, step_id_of

async def main(path, trace_id, who):
    database = await Database.open(path)
    store = SqliteTraceStore(database)
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(40):
        while True:
            sequence = (await store.head(trace_id)).next_sequence
            try:
                await store.add_steps(trace_id, [Step(step_id_of(trace_id, sequence), trace_id, "note", sequence, (), {"who": who, "n": n})])
                break
            except SequenceTaken:
                pass
    await store.close()
    await database.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_append_to_one_trace_lose_nothing(store: SqliteTraceStore) -> None:
    trace = await recorded(store)
    command = [sys.executable, "-c", APPENDER, str(store.database.path), trace.trace_id]
    processes = [subprocess.Popen([*command, who], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for who in "ab"]  # noqa: ASYNC220
    for process in processes:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
    await asyncio.gather(*(asyncio.to_thread(process.communicate, "\n") for process in processes))

    steps = await store.read_steps(trace.trace_id)
    assert sequences(steps) == list(range(80))
    assert [[step.data["n"] for step in steps if step.data["who"] == who] for who in "ab"] == [list(range(40))] * 2
    assert (await store.verify(trace.trace_id)).entries == 80


async def test_a_store_hears_of_another_ones_steps_and_is_fenced_by_it(store: SqliteTraceStore) -> None:
    trace = await opened(store)
    async with opened_store(store.database.path) as other:
        _, cursor = await other.changes_since(None)
        await store.add_steps(trace.trace_id, [fact(trace, 0)], epoch=1)
        assert await other.changes_since(cursor) == ([(trace.trace_id, 0)], cursor + 1)
        await other.add_step(fact(trace, 7))
        with pytest.raises(SequenceTaken):
            await store.add_steps(trace.trace_id, [fact(trace, 1)], epoch=1)
        assert await other.claim(trace.trace_id, expected_epoch=1) == 2
        with pytest.raises(Fenced):
            await store.add_steps(trace.trace_id, [fact(trace, 8)], epoch=1)
        await other.add_steps(trace.trace_id, [fact(trace, 8)], epoch=2)

        assert (await store.verify(trace.trace_id)).entries == 3
        assert store.database.drivers == 0
        assert other.database.drivers == 1


async def test_a_poller_that_is_far_behind_is_told_in_pieces(store: SqliteTraceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHANGES_LIMIT", 4)
    await opened(store, [fact("", n) for n in range(10)])

    cursor, told = 0, []
    while changes := (await store.changes_since(cursor))[0]:
        cursor = (await store.changes_since(cursor))[1]
        told.append([sequence for _, sequence in changes])
    assert told == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


# ---- who drives


async def test_a_closed_store_is_no_owner_any_more(store: SqliteTraceStore) -> None:
    async with opened_store(store.database.path) as other:
        trace = await opened(other)
        head = await store.head(trace.trace_id)
        assert (head.owner, head.owner_is_alive) == (other.owner, True)

    head = await store.head(trace.trace_id)
    assert (head.owner, head.owner_is_alive) == (other.owner, False)
    assert await store.claim(trace.trace_id, expected_epoch=1) == 2
    assert (await store.head(trace.trace_id)).owner == store.owner


async def test_a_beat_that_is_over_is_no_owner_any_more(store: SqliteTraceStore) -> None:
    trace = await opened(store)
    await execute(store, f"update process set beat=beat-{int(liveness.BEAT_TTL_S * 1000) + 1}")

    assert not (await store.head(trace.trace_id)).owner_is_alive


async def test_the_writer_beats_while_a_run_goes_on_even_if_the_loop_is_blocked(store: SqliteTraceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.storage.sqlite.writer.PULSE_S", 0.01)
    await store.database.alone(lambda db: None)  # so that the writer looks at its new pace
    trace = await opened(store)
    await execute(store, "update process set beat=0")

    with contextlib.closing(sqlite3.connect(store.database.path)) as db:  # blocks the loop, on purpose
        until = datetime.now(UTC) + timedelta(seconds=20)
        while db.execute("select beat from process").fetchone() == (0,) and datetime.now(UTC) < until:
            pass
    assert (await store.head(trace.trace_id)).owner_is_alive


async def test_a_beat_is_written_only_while_something_runs(store: SqliteTraceStore) -> None:
    pulse = store.database.writer.pulse
    assert pulse is not None
    assert pulse() is None
    trace = await opened(store)
    assert pulse() is not None
    await store.add_steps(trace.trace_id, [], epoch=1, changes={"status": "waiting"})
    assert pulse() is None
    await store.claim(trace.trace_id, expected_epoch=1)
    assert pulse() is not None
    await store.update_trace(trace.trace_id, owner=None)
    assert pulse() is None


async def test_old_beats_of_the_dead_are_swept_out(store: SqliteTraceStore) -> None:
    await execute(store, "insert into process values('dead', 1)")
    await opened(store)

    assert await store.database.read(lambda db: db.execute("select owner from process").fetchall()) == [(store.owner,)]


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with opened_store(tmp_path / "runs.db") as store:
        trace = await recorded(store)

    with pytest.raises(StoreClosed):
        await store.add_step(fact(trace, 0))
    with pytest.raises(StoreClosed):
        await store.get_trace(trace.trace_id)


# ---- bytes on the disk


async def test_the_file_grows_with_what_is_new(store: SqliteTraceStore) -> None:
    trace = await opened(store)
    text = os.urandom(500).hex()
    sizes = []
    for begin in (0, 200, 400, 600):
        await store.add_steps(trace.trace_id, [fact(trace, n, result=text, parents=[step_id_of(trace.trace_id, n - 1)]) for n in range(begin, begin + 200)])
        sizes.append((await store.database.read(lambda db: db.execute("pragma page_count").fetchone()))[0] * 4096)

    growth = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(growth) - min(growth) <= 16 * 4096
    assert max(growth) < 200 * len(text) * 1.6


async def test_what_repeats_in_every_run_is_stored_once(store: SqliteTraceStore) -> None:
    for _ in range(20):
        await opened(store, [fact("", 0, "input", task="t", system="You are brief. " * 500, schemas=[{"name": "n" * 5000}])])

    assert await store.database.read(lambda db: db.execute("select count(*) from blob").fetchone()) == (2,)


async def test_pruned_pages_are_used_again_and_words_are_gone(store: SqliteTraceStore) -> None:
    canary = "canary" * 150
    for _ in range(30):
        trace = await opened(store, [fact("", n, text=f"{canary} {n}") for n in range(30)], created_at=MOMENT, task=canary)
        await store.update_trace(trace.trace_id, status="completed")
    assert len(await store.prune(before=MOMENT + timedelta(days=1))) == 30
    await store.database.alone(lambda db: db.execute("pragma wal_checkpoint(truncate)").fetchall())

    ((free, pages),) = await store.database.read(lambda db: db.execute("select * from pragma_freelist_count, pragma_page_count").fetchall())
    assert free > pages * 0.8
    assert canary.encode() not in store.database.path.read_bytes()
    tables = ("trace", "step_name", "blob", "blob_use")
    assert [await store.database.read(lambda db, t=table: db.execute(f"select count(*) from {t}").fetchone()[0]) for table in tables] == [0] * 4  # type: ignore[misc]


async def test_blobs_that_a_killed_prune_left_are_swept_by_the_next(store: SqliteTraceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "SWEPT_AT_ONCE", 2)
    kept = await opened(store, [fact("", 0, result="kept" * 20_000)])
    for n in range(5):
        await execute(store, f"insert into blob(hash, data) values(x'0{n}', x'00')")
    await store.prune(before=MOMENT)

    assert await store.database.read(lambda db: db.execute("select count(*) from blob").fetchone()) == (1,)
    assert (await store.verify(kept.trace_id)).entries == 1


async def test_what_was_resumed_or_continued_meanwhile_is_not_pruned(store: SqliteTraceStore) -> None:
    old = [await recorded(store, created_at=MOMENT, conversation_id=f"c{n}") for n in range(4)]
    for trace in old:
        await store.update_trace(trace.trace_id, status="completed")
    wanted = Wanted.of(MOMENT + timedelta(days=1), None, ["completed"])
    found = await store.database.read(lambda db: upkeep.removable(db, wanted))
    await store.claim(old[0].trace_id, expected_epoch=0)
    await recorded(store, conversation_id="c1")
    await recorded(store, parent_trace_id=old[2].trace_id)

    assert len(found) == 4
    assert await store.database.write(lambda db: upkeep.remove(db, found, wanted)) == [old[3].trace_id]


async def test_reading_a_page_or_a_head_costs_the_same_in_a_long_trace(store: SqliteTraceStore) -> None:
    def work(db: sqlite3.Connection, trace_id: str) -> int:
        done = 0

        def count() -> int:
            nonlocal done
            done += 1
            return 0

        db.set_progress_handler(count, 1)  # once for each instruction of SQLite's machine
        try:
            last = rows.read_head(db, trace_id)[1]
            rows.SqliteRows(db).span(trace_id, last - 11, 10)
            rows.SqliteRows(db).at(trace_id, [last - 1])
            rows.changes_since(db, None)
        finally:
            db.set_progress_handler(None, 1)
        return done

    costs = []
    for length in (50, 2000):
        trace = await opened(store, [fact("", n) for n in range(length)])
        costs.append(await store.database.read(lambda db, t=trace: work(db, t.trace_id)))  # type: ignore[misc]
    assert costs[1] <= costs[0] * 1.1
