"""What a caller asks of memory for one run: which items are told in any case, and which are not."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.config import AgentConfig
from agent.core.advice import is_item_id
from agent.errors import BadInput, ExperienceNotFound
from agent.storage.protocols import MemoryCurator, MemoryStore

WISHES = ("pinned", "excluded")
"""What can be asked: lists of ids."""
MAX_WISHES = 100
"""Ids in one list."""


async def checked_wishes(given: Any, memories: MemoryStore | None, *, uid: str, is_on: bool) -> dict[str, list[str]]:
    """Return what was asked as the run's first step keeps it: without repetitions, and without empty lists.

    Raises:
        BadInput: it has no usable shape, or there is no memory that could be asked.
        ExperienceNotFound: `uid` has no item of that id.
    """
    if not isinstance(given, Mapping) or set(given) - set(WISHES):
        raise BadInput(f"memory must be a dict such as {{'pinned': ['ID'], 'excluded': ['ID']}}, not {given!r:.100}; enable_memory turns it off or on")
    asked = {name: ids for name in WISHES if (ids := _ids(given.get(name), name))}
    if both := sorted(set(asked.get("pinned", ())) & set(asked.get("excluded", ()))):
        raise BadInput(f"memory has {both[0]!r} both pinned and excluded: keep it in one list")
    if not asked:
        return {}
    if not is_on:
        raise BadInput("memory was asked for items by their ids, and this run reads none: leave `memory` out, or give a memory_store and enable_memory=True")
    if not isinstance(memories, MemoryCurator):
        raise BadInput("memory was asked for items by their ids, and this runner's memory store cannot look any up: leave `memory` out, or give it a store")
    await _check_there(asked, memories, uid)
    return asked


def ids_in(kept: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the ids in a list that a run's first step keeps: anybody may have written that."""
    ids = kept.get(name)
    return tuple(item for item in ids if isinstance(item, str)) if isinstance(ids, list | tuple) else ()


def check_withholding(config: AgentConfig) -> None:
    """Return where the shares that are held back can be used.

    Raises:
        BadInput: says which cannot.
    """
    if not 0 <= config.withhold < 1:
        raise BadInput(f"withhold must be a share from 0 to below 1, not {config.withhold!r}: enable_memory=False tells a run nothing at all")


async def _check_there(asked: Mapping[str, Sequence[str]], memories: MemoryCurator, uid: str) -> None:
    for name, ids in asked.items():
        for item_id in ids:
            if name == "excluded" and is_item_id(item_id):
                continue  # advice: made anew of cases for each run
            item = await memories.get(item_id, uid=uid)
            if item is None:
                raise ExperienceNotFound(item_id, f"it was {name} for this run of {uid!r}; `list()` shows what there is")
            if name == "pinned" and item.state in ("retired", "superseded"):
                raise BadInput(f"{item_id!r} was pinned and is {item.state}: restore it first, or pin what took its place")


def _ids(given: Any, name: str) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence | set | frozenset) or not all(isinstance(item, str) and item for item in given):
        raise BadInput(f"memory[{name!r}] must be a list of ids, not {given!r:.100}")
    ids = list(dict.fromkeys(given))
    if len(ids) > MAX_WISHES:
        raise BadInput(f"memory[{name!r}] has {len(ids)} ids; it may have {MAX_WISHES}")
    return ids
