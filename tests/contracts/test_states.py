import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.clock import to_ms
from agent.errors import BadInput
from agent.storage.protocols import StateStore
from agent.storage.ram.states import RamStateStore
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.owners import owner_of
from agent.storage.sqlite.states import CLEAN_AT_MOST, SqliteStateStore, delete_state, set_state
from agent.testing.clock import FakeClock
from agent.testing.contracts.states import StateStoreContract


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "states.db")
    yield opened
    await opened.close()


class TestRam(StateStoreContract):
    @pytest.fixture
    def store(self, clock: FakeClock) -> StateStore:
        return RamStateStore(now=clock.now)


class TestSqlite(StateStoreContract):
    @pytest.fixture
    def store(self, database: Database, clock: FakeClock) -> StateStore:
        return SqliteStateStore(database, now=clock.now)


async def test_states_outlive_the_process(tmp_path: Path) -> None:
    first = await Database.open(tmp_path / "states.db")
    await SqliteStateStore(first).set("k", {"a": 1}, uid="u")
    await first.close()
    second = await Database.open(tmp_path / "states.db")
    store = SqliteStateStore(second)

    assert await store.get("k", uid="u") == {"a": 1}
    assert await store.set("k", 2, uid="u", if_version=1) == 2
    await second.close()


async def test_expired_states_leave_the_file_with_later_changes(database: Database, clock: FakeClock) -> None:
    store = SqliteStateStore(database, now=clock.now)
    for n in range(CLEAN_AT_MOST + 5):
        await store.set(f"k{n}", n, uid=str(n % 3), ttl_s=1)
    clock.pass_s(2)
    await store.set("other", 1)

    assert await database.read(lambda db: db.execute("select count(*) from state").fetchone()) == (6,)
    assert await store.set("k0", 1, uid="0", if_version=0) == 2


async def test_a_state_is_set_in_the_transaction_of_something_else(database: Database, clock: FakeClock) -> None:
    store, now_ms = SqliteStateStore(database, now=clock.now), to_ms(clock.now())
    await store.set("old", 1, uid="u")

    def set_then_fail(db: sqlite3.Connection) -> None:
        set_state(db, owner_of("u"), "new", "2", if_version=0, expires_ms=None, now_ms=now_ms)
        delete_state(db, owner_of("u"), "old", now_ms=now_ms)
        raise LookupError("the step was refused")

    with pytest.raises(LookupError):
        await database.write(set_then_fail)
    assert [entry.key for entry in await store.list(uid="u")] == ["old"]

    await database.write(lambda db: set_state(db, owner_of("u"), "new", "2", if_version=0, expires_ms=None, now_ms=now_ms))
    assert await store.get("new", uid="u") == 2


@pytest.mark.parametrize("kind", ["ram", "sqlite"])
async def test_the_largest_value_is_a_setting(kind: str, database: Database) -> None:
    store: StateStore = RamStateStore(max_value_bytes=10) if kind == "ram" else SqliteStateStore(database, max_value_bytes=10)
    await store.set("k", "12345678")

    with pytest.raises(BadInput, match="11 bytes, at most 10"):
        await store.set("k", "123456789")
    with pytest.raises(BadInput, match="surrogate"):
        await store.set("k", 1, uid="\ud800")
