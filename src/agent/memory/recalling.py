"""What memory gives to a run: searched once, recorded once, and never a reason to fail."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

import agent.models.payloads as said
from agent.config import AgentConfig
from agent.core.memory_block import block_of
from agent.models.memory import Experience, Skill
from agent.storage.protocols import MemoryStore

logger = logging.getLogger("agent")


async def recall(memories: MemoryStore, config: AgentConfig, *, asked: said.Input, scope: str, query: str, uid: str | None) -> said.MemoryRead:
    """Return what memory has on a task. A failure or the deadline gives an empty one that says so."""
    try:
        async with asyncio.timeout(config.memory_timeout_s):
            skills: list[Skill] = list(await _search(memories.search_skills, scope, query, uid, config.memory_limit))
            experiences: list[Experience] = list(await _search(memories.search_experiences, scope, query, uid, config.memory_limit))
        return said.MemoryRead(
            skills_count=len(skills),
            experiences_count=len(experiences),
            skills=[skill.to_dict() for skill in skills],
            experiences=[experience.to_dict() for experience in experiences],
            block=block_of(skills, experiences, language=asked.language, placement=asked.memory_placement, max_chars=config.memory_max_chars),
        )
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return _without(error)  # nobody here asked for it: it came from within
    except Exception as error:  # noqa: BLE001  memory helps; it never stops a run
        return _without(error)


def _without(error: BaseException) -> said.MemoryRead:
    logger.warning("memory could not be read, the run goes on without it: %s: %s", type(error).__name__, error)
    told = "memory took too long" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
    return said.MemoryRead(error=told)


async def _search(search: Callable[..., Any], scope: str, query: str, uid: str | None, limit: int) -> Any:
    """Call a memory store's search; one with the seed's signature knows no uid and no limit."""
    known = inspect.signature(search).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    extra = {name: value for name, value in (("uid", uid), ("limit", limit)) if takes_any or name in known}
    return await search(scope, query, **extra)
