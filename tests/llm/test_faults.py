"""What a failure means, and in which words it is told."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.errors import ModelRejected, ModelUnavailable
from agent.llm.faults import MAX_WORDS, Caller, refused, retry_after, said_in_answer, words_of

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After-Ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_is_asked_for_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOON) == seconds


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "a"}}, "a"),
        ({"error": "b"}, "b"),
        ({"message": "c"}, "c"),
        ({"detail": [{"msg": "d", "loc": ["body"]}, {"msg": "e"}]}, "d; e"),
        ([{"error": {"message": "f"}}], "f"),
        ("  g ", "g"),
        ({"error": {"message": "h", "metadata": {"raw": "i"}}}, "h (i)"),
        ({"error": {"code": 3}}, ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_providers_words_are_found_in_any_shape(body: Any, words: str) -> None:
    assert words_of(body) == words


def test_long_words_are_cut() -> None:
    assert len(str(refused(Caller("x"), 400, "word " * 1000))) < MAX_WORDS + 100


@pytest.mark.parametrize(
    "words", ["key sk-abcdefgh12345", "AIzaSyA1234567890abc", "gsk_1234567890ab", "Bearer abcdefghijkl", "shown as sk-te*******cdef", "custom-key-of-ours"]
)
def test_what_looks_like_a_key_is_left_out(words: str) -> None:
    told = str(refused(Caller("x", "custom-key-of-ours"), 401, words))

    assert "***" in told
    assert words.rsplit(maxsplit=1)[-1] not in told


def test_words_that_only_begin_like_a_key_stay() -> None:
    words = "skeleton keyboards need key_id; model=x-ai/grok; max_tokens"

    assert Caller("x", "ab").scrub(words) == words


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"message": "overloaded", "code": 529}, ModelUnavailable, 529),
        ({"message": "no", "code": "401"}, ModelRejected, 401),
        ({"message": "no", "type": "authentication_error"}, ModelRejected, 401),
        ({"message": "no", "type": "invalid_request_error", "code": "context_length_exceeded"}, ModelRejected, 400),
        ({"message": "no", "code": "server_error"}, ModelUnavailable, None),
        ("just words", ModelUnavailable, None),
        ({"message": "odd", "code": 7}, ModelUnavailable, None),
    ],
)
def test_an_error_told_inside_an_answer_counts_by_its_code_or_kind(error: Any, kind: type[Exception], status: int | None) -> None:
    found = said_in_answer(Caller("x"), error)

    assert (type(found), found.status) == (kind, status)
