"""How well each tool's past tasks, taken together, cover the words of a new one: what no single case shows.

A task often shares one word with this past task and another with that one. Put together by tool they tell more than the
likeness of each by itself. The constants were chosen on tasks of a public data set (bench/learning).
"""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

from agent.core.text import query_tokens
from agent.models.value import Value

MISSING = 0.1
"""Stands for a word that none of a tool's tasks has: a tenth of a task that has it."""
ROOM = 100
"""Words that every tool's tasks are taken to have besides their own: of tools with few cases little is known."""
EVENNESS = 1.5
"""Words of one task do not come independently of each other: the logarithm is divided by this."""
MAX_TASK_CHARS = 1_000
"""Of a task that is looked at: what it is about is said at its beginning."""


KEPT = 2_048
"""Past tasks whose words are kept, of those that were looked at last: the same ones come again from run to run."""


class Seen(Value, frozen=True):
    """A past task on which a tool was right, and how much that counts."""

    tool: str
    task: str
    weight: float


def covering(task: str, seen: Iterable[Seen]) -> Mapping[str, float]:
    """Return each tool's part of 1 by how well its tasks cover the words of `task`; nothing where there is nothing to go by.

    Source: naive Bayes with Lidstone's smoothing over the nearest neighbours; Manning, Raghavan, Schütze, "Introduction to
    Information Retrieval", 2008, chapter 13; local to the neighbours as in Frank, Hall, Pfahringer, "Locally weighted naive Bayes", 2003.
    """
    words = query_tokens(task, max_chars=MAX_TASK_CHARS)
    lengths: dict[str, float] = {}
    counts: dict[str, dict[str, float]] = {}
    for one in seen:
        of_case = _words_of(one.task[:MAX_TASK_CHARS])
        lengths[one.tool] = lengths.get(one.tool, 0.0) + one.weight * len(of_case)
        of_tool = counts.setdefault(one.tool, {})
        for word in of_case.intersection(words):
            of_tool[word] = of_tool.get(word, 0.0) + one.weight
    if not words or not lengths:
        return {}
    logs = {
        tool: math.fsum(math.log((counts[tool].get(word, 0.0) + MISSING) / (length + ROOM)) for word in words) / EVENNESS for tool, length in lengths.items()
    }
    best = max(logs.values())
    powers = {tool: math.exp(log - best) for tool, log in logs.items()}
    whole = math.fsum(powers.values())
    return {tool: power / whole for tool, power in powers.items()}


@lru_cache(maxsize=KEPT)
def _words_of(task: str) -> frozenset[str]:
    return frozenset(query_tokens(task))
