"""Whether two lessons say the same, nearly the same, or contradict each other: told from their words alone."""

import difflib
import re
import unicodedata

from agent.core.text import query_tokens, tokens
from agent.models.memory import Experience

NEAR = 0.6
"""Share of the words of two lessons that both have (Jaccard), from which on it is proposed to merge them."""
OTHER_WORDS = 3
"""A rule is put in another's place where of so many of its words no more than one is another. In short ones it is one word."""
_STOPS = (".", "。", "!", "!", " ")
_SPACE = re.compile(r"\s+")


def normal(text: str) -> str:
    """Return a text without what makes no difference in meaning: forms of characters, case, spaces, a full stop."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip().rstrip("".join(_STOPS))


def is_same(one: Experience, other: Experience) -> bool:
    """Whether two lessons of one scope and owner say exactly the same."""
    return (
        _place(one) == _place(other) and one.kind == other.kind and (normal(one.condition), normal(one.rule)) == (normal(other.condition), normal(other.rule))
    )


def is_near(one: Experience, other: Experience) -> bool:
    """Whether two lessons of one scope and owner say nearly the same.

    Source: P. Jaccard, "The distribution of the flora in the alpine zone", 1912: shared parts by all parts.
    """
    left, right = (set(query_tokens(f"{item.condition}\n{item.rule}")) for item in (one, other))
    return _place(one) == _place(other) and one.kind == other.kind and bool(left | right) and len(left & right) / len(left | right) >= NEAR


def is_contradicted(older: Experience, newer: Experience) -> bool:
    """Whether the newer lesson says something else for the same condition: all but a word or so of its rule is the same.

    Two rules for one condition that speak of different things ("name the day", "answer in euros") both stay.
    """
    if _place(older) != _place(newer) or not normal(newer.condition) or normal(older.condition) != normal(newer.condition) or is_same(older, newer):
        return False
    fewer, more = sorted((set(query_tokens(older.rule)), set(query_tokens(newer.rule))), key=len)
    return len(fewer - more) <= max(1, len(fewer) // OTHER_WORDS) and _has_half(older.rule, newer.rule)


def _has_half(one: str, other: str) -> bool:
    """Whether two rules share half of the longer one's words, the small ones too: one word alone ("Thanks.") contradicts nothing."""
    fewer, more = sorted((set(tokens(one)), set(tokens(other))), key=len)
    return 2 * len(fewer & more) >= max(len(more), 1)


def diff_of(older: Experience, newer: Experience) -> str:
    """Return two lessons as the lines of a diff: what was said before, and what is said now."""
    lines = [[f"when: {item.condition}", f"{item.kind}: {item.rule}"] for item in (older, newer)]
    return "\n".join(difflib.ndiff(lines[0], lines[1]))


def merged_rule(older: Experience, newer: Experience) -> str:
    """Return one rule that says what both say: the newer's words where they are all that is needed."""
    said, before = set(query_tokens(newer.rule)), set(query_tokens(older.rule))
    return newer.rule if before <= said else older.rule if said <= before else f"{older.rule}; {newer.rule}"


def _place(item: Experience) -> tuple[str, str | None]:
    return item.scope, item.uid
