"""The memory in its pure form: the core's own tokens, ranking and advice over lists, without a store and without a runner."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Generic, TypeVar

from agent.core import profiles
from agent.core.advice import CASES, Advice, advise
from agent.core.rank import Candidate, Corpus, rank
from agent.core.text import query_tokens, telling_length, tokens
from agent.models.learning import Case, Found, Signal
from agent.models.memory import Experience

Item = TypeVar("Item", Case, Experience)

SCOPE, UID = "agent:bank", "bench"

_tokens = lru_cache(20_000)(tokens)
_query_tokens = lru_cache(20_000)(query_tokens)
profiles.query_tokens = lru_cache(20_000)(query_tokens)  # the same tokens, kept: a cell reads each task some hundred times


class Shelf(Generic[Item]):
    """Items and the texts that they are found by, ranked by `core.rank`."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._lengths: list[int] = []
        self._total = 0
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def add(self, item: Item, text: str) -> None:
        """Put an item at the end."""
        words = _tokens(text)
        found, length = Counter(words), telling_length(words)
        for token, count in found.items():
            self._postings[token].append((len(self.items), count))
        self.items.append(item)
        self._lengths.append(length)
        self._total += length

    def search(self, query: str, *, limit: int) -> list[Found]:
        """Return what fits a query, best first; of equals the newer."""
        asked = _query_tokens(query)
        counts: dict[int, dict[str, int]] = defaultdict(dict)
        for token in asked:
            for at, count in self._postings.get(token, ()):
                counts[at][token] = count
        candidates = [Candidate(f"{at:08}", at, self._lengths[at], held) for at, held in counts.items()]
        ranked = rank(asked, candidates, Corpus(len(self.items), self._total), limit=limit)
        return [Found(self.items[int(one.item_id)], one.score) for one in ranked]


class PureMemory:
    """Cases and rules of one scope and owner."""

    def __init__(self) -> None:
        self.cases, self.rules, self.runs = Shelf[Case](), Shelf[Experience](), 0

    def add_case(self, task: str, tool: str, sign: int, *, weight: float, signal: Signal) -> None:
        """Record that a tool was right or wrong for a task, in the present run."""
        number = len(self.cases.items)
        case = Case(
            case_id=f"case-{number:06}",
            scope=SCOPE,
            uid=UID,
            task=task,
            tool=tool,
            sign=1 if sign > 0 else -1,
            weight=weight,
            signal=signal,
            trace_id=f"t{self.runs}",
            step_id=f"t{self.runs}/3",
            run_number=self.runs,
        )
        self.cases.add(case, task)

    def add_rule(self, task: str, tool: str) -> None:
        """Record a person's words about a task."""
        rule = Experience.create(SCOPE, task, f"Use {tool}.", uid=UID, experience_id=f"e{len(self.rules.items):05}")
        self.rules.add(rule, f"{task} {rule.rule}")

    def advice(self, task: str, *, tools: Sequence[str] | None = None) -> Advice:
        """Return what the cases come to for a task."""
        return advise(self.cases.search(task, limit=CASES), runs={SCOPE: self.runs}, scope=SCOPE, task=task, uid=UID, offered=tools)
