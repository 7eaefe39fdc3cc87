"""Traces go from store to store, of each make and between them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.testing.contracts.carriers import TraceCarrierContract

MAKES = [("memory", "memory"), ("sqlite", "sqlite"), ("memory", "sqlite"), ("sqlite", "memory")]


class TestCarriers(TraceCarrierContract):
    @pytest.fixture(params=MAKES, ids="-".join)
    def makes(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    @pytest.fixture
    async def store(self, makes: tuple[str, str], tmp_path: Path) -> AsyncIterator[Any]:
        async with open_store("memory://" if makes[0] == "memory" else f"sqlite:///{tmp_path / 'from.db'}") as found:
            yield found.traces

    @pytest.fixture
    async def other(self, makes: tuple[str, str], tmp_path: Path) -> AsyncIterator[Any]:
        async with open_store("memory://" if makes[1] == "memory" else f"sqlite:///{tmp_path / 'to.db'}") as found:
            yield found.traces
