"""What the stores make of lineages that are too long, or that somebody broke, and what a fork weighs."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.assemble import open_store
from agent.errors import BadInput, StepNotFound, StoreUnusable
from agent.models.trace import Trace, step_id_of
from agent.storage import lineage
from agent.storage.protocols import Store
from agent.testing.contracts.trace_forks import forked
from agent.testing.contracts.trace_samples import fact, opened, recorded


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}") as found:
        yield found


async def test_forks_of_forks_come_to_an_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "MAX_FORK_DEPTH", 5)
    last = await opened(store.traces, [fact("", 0)])
    for _ in range(5):
        last = await recorded(store.traces, parent_trace_id=last.trace_id, fork_at=0)

    with pytest.raises(BadInput, match="the last of 5 forks of forks"):
        await recorded(store.traces, parent_trace_id=last.trace_id, fork_at=0)
    assert len(await store.traces.read_steps(last.trace_id)) == 1


@pytest.fixture
async def broken(tmp_path: Path) -> AsyncIterator[tuple[Store, sqlite3.Connection, Trace, Trace]]:
    """A parent and its fork, and a hand in the file."""
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        parent = await opened(store.traces, [fact("", n) for n in range(5)])
        fork = await forked(store.traces, parent, 2, fact("", 3), fact("", 4))
        db = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
        yield store, db, parent, fork
        db.close()


async def test_a_circle_of_forks_is_told_and_ends(broken: tuple[Store, sqlite3.Connection, Trace, Trace]) -> None:
    store, db, parent, fork = broken
    db.execute("update trace set parent=?, fork_at=2 where id=?", (fork.trace_id, parent.trace_id))

    for read in (store.traces.read_steps, store.traces.verify, store.traces.get_trace_steps):
        with pytest.raises(StoreUnusable, match="its lineage is damaged"):
            await read(fork.trace_id)


@pytest.mark.parametrize(
    "change",
    [
        "update trace set fork_at=1 where fork_at is not null",
        "update trace set fork_at=null where fork_at is not null",
        "update trace set parent='nobody' where fork_at is not null",
        "delete from step where trace=1 and seq=2",
        "update step set kind='else' where trace=1 and seq=1",
        "delete from step where trace=2 and seq=3",
    ],
)
async def test_a_fork_that_was_moved_or_whose_ground_was_changed_is_found(broken: tuple[Store, sqlite3.Connection, Trace, Trace], change: str) -> None:
    store, db, _, fork = broken
    assert (await store.traces.verify(fork.trace_id)).entries == 5
    db.execute(change)

    with pytest.raises(StoreUnusable, match="was changed"):
        await store.traces.verify(fork.trace_id)


async def test_a_fork_whose_last_inherited_step_is_gone_takes_no_more(broken: tuple[Store, sqlite3.Connection, Trace, Trace]) -> None:
    store, db, parent, _ = broken
    empty = await forked(store.traces, parent, 4)
    db.execute("delete from step where trace=1 and seq=4")

    with pytest.raises(StepNotFound, match=step_id_of(parent.trace_id, 4)):
        await store.traces.add_step(fact(empty, 5))


@pytest.mark.parametrize("length", [10, 1000])
async def test_a_fork_takes_as_much_of_a_long_run_as_of_a_short_one(tmp_path: Path, length: int) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        parent = await opened(store.traces, [fact("", n, text="word " * 50) for n in range(length)])
        db = sqlite3.connect(tmp_path / "runs.db")
        count = "select (select count(*) from step) + (select count(*) from trace) + (select count(*) from blob_use)"
        (before,) = db.execute(count).fetchone()
        size = await store.traces.backup(tmp_path / "before.db")
        await forked(store.traces, parent, length - 1, fact("", length, "forked"))
        (after,) = db.execute(count).fetchone()
        grown = await store.traces.backup(tmp_path / "after.db") - size
        db.close()

    assert after - before == 2
    assert grown <= 2 * 4096
