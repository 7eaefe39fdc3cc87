"""The search of a memory: the scores of `core.rank`, without looking at every text that shares a common word with the query.

Tokens are taken by what they can add, the rare ones first. Once those that are left cannot lift a text above the best found so
far, no further text is looked for, and only the best are scored in full. What comes out is the same as from scoring all.
Source: H. Turtle, J. Flood, "Query evaluation: strategies and optimizations", 1995 (MaxScore).
"""

import heapq
import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from agent.core.rank import Corpus, Scale, scale_of
from agent.models.learning import Found
from agent.storage.memory_log import decode
from agent.storage.memory_search import Question
from agent.storage.sqlite.memory_queries import SHELVES, scopes_json, seen_by
from agent.storage.sqlite.memory_tables import ITEM

SLACK = 1e-9
"""What sums of the same numbers in another order may differ by, and more."""
MANY = 200
"""So few postings are read without asking whether they can matter."""
SEEK = 8
"""What looking a posting up costs, in postings read in a row."""
_VALID = "(valid_from is null or valid_from <= :now) and (valid_to is null or valid_to > :now)"
_SPECIAL = "(state <> 'active' or valid_from is not null or valid_to is not null)"  # as the index has it

_Text = tuple[int, dict[str, int]]
"""Its length, and how often it has each token of the query."""


class Token(NamedTuple):
    """A token of the query that some text has."""

    word: str
    frequency: int  # texts that have it
    most: float  # that it can add to a score


def best(db: sqlite3.Connection, asked: Question) -> list[Found]:
    """Return what fits, best first; of equals the newer, then the greater id."""
    db.execute("begin")  # one moment for all questions
    try:
        place = {"kind": asked.kind, "scopes": scopes_json(asked.scopes), "owner": seen_by(asked.uid)}
        shelves = db.execute(f"select no, items, length from memory_shelf where no in ({SHELVES})", place).fetchall()  # noqa: S608 (constants and numbers, as in all below)
        return _Search(db, asked, shelves).run() if shelves and asked.states and asked.limit else []
    finally:
        db.execute("rollback")


class _Search:
    """One search over some shelves."""

    def __init__(self, db: sqlite3.Connection, asked: Question, shelves: Sequence[tuple[int, int, int]]) -> None:
        self._db, self._asked = db, asked
        self._shelves = f"({', '.join(str(no) for no, _, _ in shelves)})"
        in_use = f"state in ({', '.join(map(repr, sorted(asked.states)))}) and {_VALID}"  # states are of a closed set
        special = f"select no, length, {in_use} from memory_item where shelf in {self._shelves} and {_SPECIAL}"  # noqa: S608
        found = db.execute(special, {"now": asked.now_ms}).fetchall()
        self._skips_active = "active" not in asked.states
        if self._skips_active:
            chosen = [(no, length) for no, length, is_in_use in found if is_in_use]
            self._corpus = Corpus(len(chosen), sum(length for _, length in chosen))
        else:
            chosen = [(no, length) for no, length, is_in_use in found if not is_in_use]
            size, total = sum(items for _, items, _ in shelves), sum(length for _, _, length in shelves)
            self._corpus = Corpus(size - len(chosen), total - sum(length for _, length in chosen))
        self._chosen = frozenset(no for no, _ in chosen)  # that are looked for, or else left out

    def run(self) -> list[Found]:
        """Return what fits, best first."""
        if not self._corpus.size:
            return []
        found = {word: row for word in self._asked.words if (row := self._extent(word))[0]}
        if not found:
            return []
        scale = scale_of(self._asked.words, {word: frequency for word, (frequency, _, _) in found.items()}, self._corpus)
        tokens = [Token(word, frequency, scale.most(word, count, length)) for word, (frequency, count, length) in found.items()]
        tokens.sort(key=lambda token: -token.most)
        texts, scores = self._candidates(scale, tokens)
        least = self._least(scores.values()) - SLACK
        exact = [(scale.score(texts[no][1], texts[no][0]), no) for no, score in scores.items() if score >= least]
        return self._told([(score, no) for score, no in exact if score > self._asked.floor])

    def _candidates(self, scale: Scale, tokens: Sequence[Token]) -> tuple[dict[int, _Text], dict[int, float]]:
        """Return all texts that may be among the best with all of their counts, and about what they score."""
        texts: dict[int, _Text] = {}
        scores: dict[int, float] = {}
        rest, waiting = sum(token.most for token in tokens), sum(token.frequency for token in tokens)
        is_closed = False
        for token in tokens:
            if waiting > MANY and (is_closed or rest < max(scores.values(), default=0.0)):
                least = self._least(scores.values()) - SLACK
                is_closed = is_closed or rest < least
                if is_closed:
                    scores = {no: score for no, score in scores.items() if score + rest >= least}
            weight, base, slope = scale.parts(token.word)
            for no, count, length in self._postings(token.word, scores if is_closed and len(scores) * SEEK < token.frequency else None):
                part = weight * count / (count + base + slope * length)
                if no in scores:
                    scores[no] += part
                    texts[no][1][token.word] = count
                elif not is_closed:
                    scores[no] = part
                    texts[no] = (length, {token.word: count})
            rest, waiting = rest - token.most, waiting - token.frequency
        return texts, scores

    def _least(self, scores: Collection[float]) -> float:
        """Return what a text must reach to be among the best, as far as is known."""
        if len(scores) < self._asked.limit:
            return self._asked.floor
        return max(self._asked.floor, heapq.nlargest(self._asked.limit, scores)[-1])

    def _extent(self, word: str) -> tuple[int, int, int]:
        """Return how many texts in use have a token, how often at most, and how short they are at least."""
        if self._chosen:
            rows = self._postings(word)
            return len(rows), max((count for _, count, _ in rows), default=0), min((length for _, _, length in rows), default=0)
        sql = f"select count(*), max(count), min(length) from memory_posting where shelf in {self._shelves} and token = ?"  # noqa: S608
        row: tuple[int, int, int] = self._db.execute(sql, (word,)).fetchone()
        return row

    def _postings(self, word: str, among: Collection[int] | None = None) -> list[tuple[int, int, int]]:
        sql = f"select item, count, length from memory_posting where shelf in {self._shelves} and token = ?"  # noqa: S608
        if among is not None:
            sql += " and item in (select value from json_each(?))"
            return self._db.execute(sql, (word, json.dumps(list(among)))).fetchall()
        rows: list[tuple[int, int, int]] = self._db.execute(sql, (word,)).fetchall()
        if not self._chosen:  # else of a search without active ones some were found, or nothing is asked any more
            return rows
        return [row for row in rows if (row[0] in self._chosen) is self._skips_active]

    def _told(self, scored: Sequence[tuple[float, int]]) -> list[Found]:
        """Return the best with their items."""
        last = heapq.nlargest(self._asked.limit, scored)[-1][0] if scored else 0.0
        scores = {no: score for score, no in scored if score >= last}  # all that equal the last one, of which the newest stay
        sql = f"select no, created, id, {ITEM} from memory_item where no in (select value from json_each(?))"  # noqa: S608
        rows: list[tuple[Any, ...]] = self._db.execute(sql, (json.dumps(list(scores)),)).fetchall()
        rows.sort(key=lambda row: (scores[row[0]], row[1], row[2]), reverse=True)
        return [Found(decode(row[3]), scores[row[0]]) for row in rows[: self._asked.limit]]
