"""What there is for a run: rules, skills and cases from every scope that it may see, searched alike."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from agent.config import AgentConfig
from agent.core.advice import CASES
from agent.memory.credit import Credit
from agent.memory.likeness import Likeness
from agent.models.learning import Case, Found
from agent.models.memory import Experience, Skill
from agent.models.value import Value
from agent.storage.learning_port import RunCount
from agent.storage.protocols import MemoryCurator, MemoryStore

SHADOWS = 5
"""How many experiences that are only logged are looked for besides those that a run may be told."""


class Sources(Value, frozen=True, kw_only=True):
    """Where a runner's memory comes from."""

    memories: MemoryStore
    config: AgentConfig
    likeness: Likeness
    credit: Credit | None = None  # None: the store has only the seed's methods, or little more


class Wanted(Value, frozen=True, kw_only=True):
    """What a run asks of memory."""

    trace_id: str
    query: str
    scope: str  # of the agent's type: here its runs are counted
    scopes: tuple[str, ...]  # all that it may see, `scope` first
    uid: str | None
    tools: tuple[str, ...]  # that it is offered
    pinned: tuple[str, ...] = ()
    excluded: frozenset[str] = frozenset()


class Findings(Value, frozen=True, kw_only=True):
    """What memory has for a run, the best first."""

    skills: tuple[Found, ...] = ()
    experiences: tuple[Found, ...] = ()  # active ones and those that are only logged
    cases: tuple[Found, ...] = ()
    pinned: tuple[Experience | Skill, ...] = ()
    count: RunCount | None = None  # None: this memory counts no runs
    on_probation: Collection[str] = ()


def scopes_of(scope: str, project: str | None) -> tuple[str, ...]:
    """Return the scopes that a run of an agent's scope may see: its own, all agents of its user, its project, and what all share."""
    return (scope, "user", *([f"project:{project}"] if project else []), "shared")


async def find(sources: Sources, wanted: Wanted) -> Findings:
    """Return what memory has for a run. Stores with only the seed's methods are asked for the agent's scope alone."""
    limit = sources.config.memory_limit
    if sources.credit is None:
        return await _plainly(sources.memories, wanted, limit)
    memories, likeness = sources.credit.memories, sources.likeness
    query, uid, scopes = wanted.query, wanted.uid, wanted.scopes
    some, more = limit + len(wanted.excluded), limit + len(wanted.excluded) + SHADOWS
    experiences = await memories.search(query, scopes=scopes, uid=uid, states=("active", "shadow"), limit=likeness.width(more))
    skills = await memories.search(query, scopes=scopes, uid=uid, kind="skill", limit=likeness.width(some))
    cases = await memories.search(query, scopes=scopes, uid=uid, kind="case", limit=likeness.width(CASES)) if wanted.tools else []
    return Findings(
        skills=tuple(await likeness.sorted(query, skills, limit=some)),
        experiences=tuple(await likeness.sorted(query, experiences, limit=more)),
        cases=tuple(await likeness.sorted(query, cases, limit=CASES)),
        pinned=await _pinned(memories, wanted),
        count=await memories.run_count(wanted.scope, uid=uid),
        on_probation=await sources.credit.on_probation(wanted.scope, uid=uid) if cases or experiences else (),
    )


async def _plainly(memories: MemoryStore, wanted: Wanted, limit: int) -> Findings:
    skills = list(await _search(memories.search_skills, wanted, limit + len(wanted.excluded)))
    experiences = list(await _search(memories.search_experiences, wanted, limit + len(wanted.excluded)))
    pinned = await _pinned(memories, wanted) if isinstance(memories, MemoryCurator) else ()
    return Findings(skills=_in_order(skills), experiences=_in_order(experiences), pinned=pinned)


def _in_order(items: Sequence[Experience | Skill]) -> tuple[Found, ...]:
    """Return items as found; such a store says in which order they fit, and not how well."""
    return tuple(Found(item, 0.0) for item in items)


async def _search(search: Callable[..., Any], wanted: Wanted, limit: int) -> Any:
    """Call a memory store's search; one with the seed's signature knows no uid and no limit."""
    known: Mapping[str, inspect.Parameter] = inspect.signature(search).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    extra = {name: value for name, value in (("uid", wanted.uid), ("limit", limit)) if takes_any or name in known}
    return await search(wanted.scope, wanted.query, **extra)


async def _pinned(memories: MemoryCurator, wanted: Wanted) -> tuple[Experience | Skill, ...]:
    """Return the items that are told in any case; what was forgotten or closed since the run was asked for is not."""
    items = [await memories.get(item_id, uid=wanted.uid) for item_id in wanted.pinned]
    return tuple(item for item in items if item is not None and item.state not in ("retired", "superseded") and not isinstance(item, Case))
