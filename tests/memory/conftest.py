"""A store of each kind, and runs recorded in its memory."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from tests.memory.telling import Told

from agent.assemble import open_store
from agent.clock import now
from agent.models.learning import Use, Used
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store

SCOPE, UID = "agent:clerk", "shop"


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}") as opened:
        yield opened


@pytest.fixture
def memories(store: Store) -> LearningStore:
    assert isinstance(store.memories, LearningStore)
    return store.memories


class Runs:
    """Records runs with their outcomes, one after the other."""

    def __init__(self, memories: LearningStore) -> None:
        self.memories, self.count = memories, 0
        self.since = now() - timedelta(days=1)

    async def one(
        self,
        outcome: float | None,
        *items: Used,
        arm: Literal["injected", "withheld", "none"] = "none",
        propensity: float = 1.0,
        uid: str = UID,
        scope: str = SCOPE,
        trace_id: str | None = None,
    ) -> str:
        self.count += 1
        trace_id, at = trace_id or f"run-{self.count:05}", self.since + timedelta(seconds=self.count)
        await self.memories.record_use(Use(trace_id=trace_id, scope=scope, uid=uid, at=at, items=items, arm=arm, propensity=propensity))
        if outcome is not None:
            await self.memories.record_outcome(trace_id, outcome, signal="outcome", by="ada", uid=uid)
        return trace_id


@pytest.fixture
def runs(memories: LearningStore) -> Runs:
    return Runs(memories)


@pytest.fixture
def told(store: Store) -> Told:
    return Told(store)
