import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.rank import K1, MIN_RELEVANCE, B, Candidate, Corpus, rank
from agent.core.text import query_tokens, tokens

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1, max_size=8)


def search(query: list[str], texts: list[list[str]], *, floor: float = 0.0) -> list[tuple[str, float]]:
    candidates = [
        Candidate(str(at), at, len(text), {word: count for word, count in Counter(text).items() if word in query})
        for at, text in enumerate(texts)
        if set(text) & set(query)
    ]
    return [(found.item_id, found.score) for found in rank(query, candidates, Corpus(len(texts), sum(map(len, texts))), floor=floor)]


def test_the_score_is_bm25_as_a_share_of_the_querys_own() -> None:
    texts = [["a", "b", "a"], ["c"], ["a", "c", "c", "c"]]
    idf = {"a": math.log(1 + (3 - 2 + 0.5) / 2.5), "b": math.log(1 + (3 - 1 + 0.5) / 1.5)}

    def weight(count: int, length: int) -> float:
        return count * (K1 + 1) / (count + K1 * (1 - B + B * length / (8 / 3)))

    whole = idf["a"] * weight(1, 2) + idf["b"] * weight(1, 2)
    assert dict(search(["a", "b"], texts)) == pytest.approx(
        {"0": (idf["a"] * weight(2, 3) + idf["b"] * weight(1, 3)) / whole, "2": idf["a"] * weight(1, 4) / whole},
    )


def test_of_equals_the_newer_then_the_greater_id_comes_first() -> None:
    candidates = [Candidate(item_id, created_ms, 1, {"a": 1}) for item_id, created_ms in [("x", 1), ("z", 2), ("y", 2)]]

    assert [found.item_id for found in rank(["a"], candidates, Corpus(3, 3))] == ["z", "y", "x"]
    assert [found.item_id for found in rank(["a"], candidates, Corpus(3, 3), limit=1)] == ["z"]


def test_nothing_to_look_for_or_nothing_there_finds_nothing() -> None:
    assert rank([], [Candidate("x", 1, 1, {"a": 1})], Corpus(1, 1)) == []
    assert rank(["a"], [], Corpus(0, 0)) == []


@given(WORDS, st.lists(WORDS, min_size=1, max_size=6))
def test_scores_are_above_nothing_and_bounded_and_the_query_itself_scores_one(query: list[str], texts: list[list[str]]) -> None:
    query = list(dict.fromkeys(query))
    found = dict(search(query, [*texts, query]))

    assert found[str(len(texts))] == pytest.approx(1)
    assert all(0 < score < (K1 + 1) * len(query) * 10 for score in found.values())
    assert list(found.values()) == sorted(found.values(), reverse=True)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=6), st.floats(0, 1))
def test_the_floor_leaves_out_what_scores_no_more(query: list[str], texts: list[list[str]], floor: float) -> None:
    assert search(query, texts, floor=floor) == [entry for entry in search(query, texts) if entry[1] > floor]


LESSONS = [
    "a customer asks for a refund: always check the order id first",
    "asked to deploy the service: run the tests before deploying",
    "writing SQL queries: never use select star",
    "the user asks for a summary: answer in three bullet points",
    "回答客户的退款请求：先核对订单号",
    "用户要求总结文章：用三句话回答",
    "writing python code: use type hints and pathlib",
    "searching the web: prefer primary sources",
]
FITTING = [
    ("Please handle the customer's refund request for order 1234, they paid by card and want their money back as soon as possible", 0),
    ("refund order 77", 0),
    ("Deploy the billing service to production tonight", 1),
    ("Write a query that lists all users who signed up last week", 2),
    ("客户张三要求退款，订单 1234，请帮他处理", 4),
    ("请总结一下这篇关于气候变化的文章", 5),
    ("Write a python script that renames all files in a folder", 6),
    ("Find on the web who won the 1998 world cup", 7),
]
UNFITTING = ["What is the weather in Paris tomorrow?", "Translate this poem into German", "Calculate 17 * 23", "今天天气怎么样"]


@pytest.mark.parametrize(("query", "expected"), FITTING)
def test_the_floor_lets_through_what_fits_in_small_memories_and_in_larger_ones(query: str, expected: int) -> None:
    alone = search(query_tokens(query), [tokens(LESSONS[expected])], floor=MIN_RELEVANCE)
    among = search(query_tokens(query), [tokens(text) for text in LESSONS], floor=MIN_RELEVANCE)

    assert [item_id for item_id, _ in alone] == ["0"]
    assert among[0][0] == str(expected)


@pytest.mark.parametrize("query", UNFITTING)
def test_what_does_not_fit_is_not_found(query: str) -> None:
    assert search(query_tokens(query), [tokens(text) for text in LESSONS]) == []
