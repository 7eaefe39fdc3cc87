"""What every adapter of a port must pass, and every tool: inherit a class, give it its fixture, run pytest in asyncio mode `auto`."""

from agent.testing.contracts.curators import MemoryCuratorContract
from agent.testing.contracts.learners import LearningStoreContract
from agent.testing.contracts.memories import MemoryStoreContract
from agent.testing.contracts.states import StateStoreContract
from agent.testing.contracts.tools import ToolCase, ToolContract

__all__ = ["LearningStoreContract", "MemoryCuratorContract", "MemoryStoreContract", "StateStoreContract", "ToolCase", "ToolContract"]
