"""The RAM store keeps the contract of traces."""

from collections.abc import AsyncIterator

import pytest

from agent.storage.ram.traces import RamTraceStore
from agent.testing.contracts.traces import TraceLogContract
from agent.testing.contracts.usage import UsageLogContract


class TestRamTraces(TraceLogContract, UsageLogContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[RamTraceStore]:
        store = RamTraceStore()
        yield store
        await store.close()
