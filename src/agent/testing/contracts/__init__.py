"""What every adapter of a port must pass: inherit a class, give it a `store` fixture, run pytest in asyncio mode `auto`."""

from agent.testing.contracts.memories import MemoryCuratorContract, MemoryStoreContract
from agent.testing.contracts.states import StateStoreContract

__all__ = ["MemoryCuratorContract", "MemoryStoreContract", "StateStoreContract"]
