"""What memory gives to a run: searched once, recorded once, and never a reason to fail."""

import asyncio
import html
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

import agent.models.payloads as said
from agent.config import AgentConfig
from agent.core.wording import wording
from agent.engine.beginning import task_text
from agent.engine.shop import Shop
from agent.models.memory import Experience, Skill
from agent.models.trace import Trace
from agent.storage.protocols import MemoryStore

logger = logging.getLogger("agent")


async def recall_for(shop: Shop, asked: said.Input | None, trace: Trace) -> said.MemoryRead:
    """Return what memory has for a run, in the scope of its kind of agent."""
    assert asked is not None
    if shop.memories is None:
        return said.MemoryRead(error="this process has no memory store")
    scope = f"agent:{asked.agent_type or shop.config.agent_type}"
    return await recall(shop.memories, shop.config, scope=scope, query=task_text(asked.task), uid=trace.uid)


async def recall(memories: MemoryStore, config: AgentConfig, *, scope: str, query: str, uid: str | None) -> said.MemoryRead:
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
            block=block_of(skills, experiences, config),
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


def block_of(skills: Sequence[Skill], experiences: Sequence[Experience], config: AgentConfig) -> str:
    """Return the text that the model is given; "" where there is nothing. Each experience is one line with its id."""
    if not skills and not experiences:
        return ""
    language = config.language
    parts: list[str] = []
    if skills:
        parts.append(f"## {wording('memory_skills', language)}\n" + "\n\n".join(_plain(skill.to_prompt_text()) for skill in skills))
    if experiences:
        lines = [f"- [{e.experience_id}] {_one_line(e.to_prompt_text())}" for e in experiences]
        parts.append(f"## {wording('memory_experiences', language)}\n" + "\n".join(lines))
    text = "\n\n".join(parts)
    if len(text) > config.memory_max_chars:
        text = text[: config.memory_max_chars] + wording("cut", language, left=len(text) - config.memory_max_chars)
    if config.memory_placement == "system":
        return text
    return f"<memory>\n{wording('memory_head', language)}\n\n{text}\n</memory>"


def _plain(text: str) -> str:
    """Return text that cannot close the block it stands in."""
    return html.escape(text, quote=False)


def _one_line(text: str) -> str:
    return " ".join(_plain(text).split())
