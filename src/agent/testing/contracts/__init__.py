"""What every adapter of a port must pass: inherit a class, give it a `store` fixture, run pytest in asyncio mode `auto`."""

from agent.testing.contracts.curators import MemoryCuratorContract
from agent.testing.contracts.memories import MemoryStoreContract
from agent.testing.contracts.states import StateStoreContract

__all__ = ["MemoryCuratorContract", "MemoryStoreContract", "StateStoreContract"]
