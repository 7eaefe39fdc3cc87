"""Experiment 5: are notes found by questions in other words, in English and in Chinese? Prints the table of RESULTS.md.

    python bench/learning/retrieval.py [--missed]

Sixty notes of both languages lie in one scope of a store; each of the 120 questions has one note that answers it (data/retrieval.jsonl).
R@k: the share of questions whose note is among the first k, with Wilson's interval of 95 %. Words: every Chinese word of two
characters in `WORDS` alone, which has to bring up a note that has it.
"""

import argparse
import asyncio
import json
import math
from collections.abc import Sequence
from pathlib import Path

import agent
from agent.models.value import Value

FILE = Path(__file__).parent / "data" / "retrieval.jsonl"
SCOPE = "agent:notes"
WORDS = ("退款", "报价", "备份", "关税", "纪要", "保修", "密码", "发票", "索引", "图片", "快递", "扣款", "温度", "投影", "接口", "换货", "面试", "航班")


class Asked(Value, frozen=True):
    """A question, and at which place its note was found: from 1; None: not among the first ten."""

    language: str
    query: str
    place: int | None


class Found(Value, frozen=True):
    """What came of all questions and words."""

    asked: tuple[Asked, ...]
    words: tuple[Asked, ...]

    def share(self, language: str, k: int) -> float:
        """Return R@k of a language."""
        places = [one.place for one in self.asked if one.language == language]
        return sum(place is not None and place <= k for place in places) / len(places)


def interval(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's interval of 95 % of a share."""
    z = 1.959964
    middle, half = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


async def measure(url: str = "memory://") -> Found:
    """Put all notes into a store, and ask all questions of it."""
    rows = [json.loads(line) for line in FILE.read_text().splitlines()]
    async with agent.open_store(url) as store:
        for row in rows:
            await store.memories.add_experience(agent.Experience.create(SCOPE, "", row["text"], experience_id=row["id"]))

        async def places(query: str) -> list[str]:
            return [item.experience_id for item in await store.memories.search_experiences(SCOPE, query, limit=10)]

        asked = [Asked(row["language"], query, _place(await places(query), [row["id"]])) for row in rows for query in row["queries"]]
        words = [Asked("zh", word, _place(await places(word), [row["id"] for row in rows if word in row["text"]])) for word in WORDS]
    return Found(tuple(asked), tuple(words))


def _place(found: Sequence[str], right: Sequence[str]) -> int | None:
    return next((at for at, item_id in enumerate(found, start=1) if item_id in right), None)


def main() -> None:
    """Print the table, and on demand the questions whose note was not among the first five."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--missed", action="store_true", help="list the questions whose note was not among the first five")
    is_listing = parser.parse_args().missed
    found = asyncio.run(measure())
    print("| | questions | R@1 | R@5 | 95 % | nothing found |\n|---|---|---|---|---|---|")
    for language, name in (("en", "English"), ("zh", "Chinese")):
        those = [one for one in found.asked if one.language == language]
        low, high = interval(found.share(language, 5), len(those))
        none = sum(one.place is None for one in those)
        print(f"| {name} | {len(those)} | {found.share(language, 1):.2f} | {found.share(language, 5):.2f} | {low:.2f} – {high:.2f} | {none} |")
    print(f"\nChinese words of two characters that bring up a note that has them first: {sum(one.place == 1 for one in found.words)} of {len(found.words)}")
    for one in found.asked if is_listing else ():
        if one.place is None or one.place > 5:
            print(f"missed: {one.query} (place {one.place})")


if __name__ == "__main__":
    main()
