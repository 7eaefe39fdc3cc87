"""Both stores commit states with steps, as the contract says."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.storage.ram.states import RamStateStore
from agent.storage.ram.traces import RamTraceStore
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.states import SqliteStateStore
from agent.storage.sqlite.traces import SqliteTraceStore
from agent.storage.staging import StagingStates, StateLog
from agent.testing.clock import FakeClock
from agent.testing.contracts.staged_states import StagedStatesContract


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestRam(StagedStatesContract):
    @pytest.fixture
    def log(self) -> StateLog:
        return RamTraceStore()

    @pytest.fixture
    def states(self, clock: FakeClock) -> StagingStates:
        return RamStateStore(now=clock.now)


class TestSqlite(StagedStatesContract):
    @pytest.fixture(params=[True, False])
    async def database(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
        opened = await Database.open(tmp_path / "runs.db", may_block_loop=request.param)
        yield opened
        await opened.close()

    @pytest.fixture
    async def log(self, database: Database) -> AsyncIterator[StateLog]:
        store = SqliteTraceStore(database)
        yield store
        await store.close()

    @pytest.fixture
    def states(self, database: Database, clock: FakeClock) -> StagingStates:
        return SqliteStateStore(database, now=clock.now)


class TestSqliteOpenedTwice(StagedStatesContract):
    @pytest.fixture
    async def log(self, tmp_path: Path) -> AsyncIterator[StateLog]:
        database = await Database.open(tmp_path / "runs.db")
        store = SqliteTraceStore(database)
        yield store
        await store.close()
        await database.close()

    @pytest.fixture
    async def states(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[StagingStates]:
        database = await Database.open(tmp_path / "runs.db")
        yield SqliteStateStore(database, now=clock.now)
        await database.close()


async def test_states_of_another_file_are_not_kept(tmp_path: Path) -> None:
    here, there = await Database.open(tmp_path / "a.db"), await Database.open(tmp_path / "b.db")
    log = SqliteTraceStore(here)

    assert not log.keeps(SqliteStateStore(there))
    assert not log.keeps(RamStateStore())
    assert not RamTraceStore().keeps(SqliteStateStore(here))
    await log.close()
    await here.close()
    await there.close()
