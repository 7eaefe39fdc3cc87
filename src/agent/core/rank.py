"""How well texts fit a query: BM25 as a share of the query's own score, the same numbers on every store.

Source: S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; idf never negative, as in Lucene.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from agent.models.value import Value

K1 = 1.2  # how soon a repeated token stops to count
B = 0.75  # how much a long text is held against it
MIN_RELEVANCE = 0.03  # a text that scores no more shares a chance word: fit ones reach .04 in a memory of one item, .1 and above in larger ones


class Candidate(Value, frozen=True):
    """A text that has at least one token of the query."""

    item_id: str
    created_ms: int
    length: int  # tokens of the text
    counts: Mapping[str, int]  # how often it has each token of the query; those it lacks are left out


class Corpus(Value, frozen=True):
    """All texts that the search may see, also those that fit nothing."""

    size: int
    total_length: int  # tokens


class Ranked(Value, frozen=True):
    """A text and how well it fits: 0 not at all, about 1 as well as the query itself."""

    item_id: str
    score: float


def rank(query: Sequence[str], candidates: Iterable[Candidate], corpus: Corpus, *, floor: float = MIN_RELEVANCE, limit: int | None = None) -> list[Ranked]:
    """Return candidates that score above `floor`, best first; of equals the newer, then the greater id.

    `candidates` are all texts of the corpus that have a token of `query`: document frequencies are counted from them.
    """
    found = list(candidates)
    if not query or not found:
        return []
    scale = scale_of(query, Counter(token for candidate in found for token in candidate.counts), corpus)
    scored = [(scale.score(candidate.counts, candidate.length), candidate) for candidate in found]
    kept = sorted(((score, candidate) for score, candidate in scored if score > floor), key=_best_last, reverse=True)
    return [Ranked(candidate.item_id, score) for score, candidate in kept[:limit]]


class Scale(Value, frozen=True):
    """What a query's scores are measured by."""

    idf: Mapping[str, float]  # of each distinct token of the query, in its order
    average: float  # tokens of a text
    whole: float  # what the query scores against itself

    def score(self, counts: Mapping[str, int], length: int) -> float:
        """Return how well a text fits, by how often it has each token of the query."""
        return _bm25(self.idf, counts, length, self.average) / self.whole

    def parts(self, token: str) -> tuple[float, float, float]:
        """Return w, b and s such that a token adds about w · count / (count + b + s · length) to a score."""
        return self.idf[token] * (K1 + 1) / self.whole, K1 * (1 - B), K1 * B / self.average

    def most(self, token: str, count: int, length: int) -> float:
        """Return the most that a token adds to the score of texts which have it at most `count` times, and at least `length` tokens."""
        return _bm25({token: self.idf[token]}, {token: count}, length, self.average) / self.whole


def scale_of(query: Sequence[str], frequencies: Mapping[str, int], corpus: Corpus) -> Scale:
    """Return the scale of a query; `frequencies`: how many texts have each token (those that none has may be left out)."""
    known = {token: frequencies.get(token, 0) for token in dict.fromkeys(query)}
    idf = {token: math.log(1 + (corpus.size - count + 0.5) / (count + 0.5)) for token, count in known.items()}
    average = corpus.total_length / corpus.size
    return Scale(idf, average, _bm25(idf, Counter(query), len(query), average))


def _best_last(entry: tuple[float, Candidate]) -> tuple[float, int, str]:
    score, candidate = entry
    return score, candidate.created_ms, candidate.item_id


def _bm25(idf: Mapping[str, float], counts: Mapping[str, int], length: int, average: float) -> float:
    """Sum in the order of the query, so that floats come out the same everywhere."""
    norm = K1 * (1 - B + B * length / average)
    return sum(weight * counts[token] * (K1 + 1) / (counts[token] + norm) for token, weight in idf.items() if token in counts)
