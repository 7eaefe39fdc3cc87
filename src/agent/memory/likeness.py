"""How well items fit a task: BM25 as the store says, or, where a runner has an embedding, the mean of that and the cosine."""

import asyncio
import inspect
import logging
import math
from collections import OrderedDict
from collections.abc import Sequence

from agent.config import AgentConfig, Embed
from agent.models.learning import Case, Found
from agent.models.memory import Experience, Skill

logger = logging.getLogger("agent")
RESCORED = 200
"""Items that BM25 finds and an embedding then puts in order, at most. One that shares no word with the task is not found."""
MAX_TEXT_CHARS = 2_000
"""Of a text that is embedded."""
MAX_KEPT = 10_000
"""Vectors of texts that a runner keeps, the newest."""

Vector = tuple[float, ...]


class Likeness:
    """Puts what a store found in order."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._kept: OrderedDict[str, Vector] = OrderedDict()

    def width(self, limit: int) -> int:
        """Return how many items the store is to be asked for, so that the best `limit` are among them."""
        return limit if self._config.embed is None else max(limit, RESCORED)

    async def sorted(self, query: str, found: Sequence[Found], *, limit: int) -> list[Found]:
        """Return the best of what was found. An embedding that fails is logged, and the store's own order stands."""
        embed = self._config.embed
        if embed is None or not found:
            return list(found)[:limit]
        try:
            asked, *vectors = await self._vectors(embed, [query, *(text_of(one.item) for one in found)])
            fused = [Found(one.item, (one.score + cosine(asked, vector)) / 2) for one, vector in zip(found, vectors, strict=True)]
        except Exception as error:  # noqa: BLE001  it is anybody's function, and memory helps without it
            logger.warning("the embedding failed, BM25 stands alone: %s: %s", type(error).__name__, error)
            return list(found)[:limit]
        return sorted(fused, key=lambda one: -one.score)[:limit]

    async def _vectors(self, embed: Embed, texts: Sequence[str]) -> list[Vector]:
        cut = [text[:MAX_TEXT_CHARS] for text in texts]
        new = [text for text in dict.fromkeys(cut) if text not in self._kept]
        found = {text: self._kept[text] for text in cut if text in self._kept}
        if new:
            found |= dict(zip(new, map(_unit, await _ask(embed, new)), strict=True))
        for text in cut:
            self._kept[text] = found[text]
            self._kept.move_to_end(text)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return [found[text] for text in cut]


async def _ask(embed: Embed, texts: list[str]) -> Sequence[Sequence[float]]:
    is_async = inspect.iscoroutinefunction(embed) or inspect.iscoroutinefunction(type(embed).__call__)
    vectors = embed(texts) if is_async else await asyncio.to_thread(embed, texts)
    return await vectors if inspect.isawaitable(vectors) else vectors


def text_of(item: Experience | Skill | Case) -> str:
    """Return the words by which an item is found."""
    if isinstance(item, Case):
        return item.task
    return f"{item.name}\n{item.description}" if isinstance(item, Skill) else item.to_prompt_text()


def cosine(one: Vector, other: Vector) -> float:
    """Return how alike two vectors of length 1 are: 0 for those that have nothing in common, or point away."""
    return max(0.0, sum(a * b for a, b in zip(one, other, strict=True)))


def _unit(vector: Sequence[float]) -> Vector:
    length = math.sqrt(math.fsum(float(value) ** 2 for value in vector))
    if not math.isfinite(length):
        raise ValueError("a vector has values that are no numbers")
    return tuple(float(value) / length for value in vector) if length else tuple(0.0 for _ in vector)
