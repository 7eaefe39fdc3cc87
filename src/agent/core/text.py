"""Text to tokens: the one tokenizer that every store and every search uses.

A change of what comes out, or of how it is counted, needs a new number in `TOKENIZER`: stores then index again.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from agent.core.stem import stem

TOKENIZER = f"2/{unicodedata.unidata_version}"  # what comes out depends on it, and on Python's tables of characters
MAX_TEXT_CHARS = 20_000  # what is read of a text; the rest is not indexed and not searched for
MAX_TOKEN_CHARS = 40  # a longer run (base64, a key, a hash) is cut here
MAX_QUERY_TOKENS = 256  # distinct tokens that a search looks for

# Scripts without spaces between words: Han, Kana, Hangul, Bopomofo; Thai, Lao, Myanmar, Khmer with their marks.
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u1049\u1050-\u109f\u1100-\u11ff\u1780-\u17d3\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096\u3099-\u309f"
    "\u30a1-\u30ff\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97c\uac00-\ud7fb\uf900-\ufaff\uff66-\uff9f\U00016ff0-\U00018cff\U0001aff0-\U0001b2ff\U00020000-\U0003ffff"
)
# Marks that belong to the letter before them, which `\w` leaves out: accents, Hebrew, Arabic, Indic, Tibetan.
_MARKS = "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0df3\u0f71-\u0f84\u20d0-\u20f0"
_RUNS = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?:(?![{_UNSPACED}])[^\W_])(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]|['’](?=[^\W_])))*")
_ASCII_WORD = re.compile(r"[a-z]+")

# What says nothing about the subject of a question. Apostrophes are gone by then: "don't" is "dont".
_SAID_OFTEN = """
a about am an and any are as at be been being but by can could did do does doing for from had has have having he her hers him his how i if in into is it its
me my of on or our ours please shall she should so some such than that the their them then there these they this those to too us was we were what when where
which while who whom whose why will with would you your yours im ive id ill youre youve youll hes shes theyre theyve weve thats whats heres lets
的 了 吗 呢 吧 啊 是 我 你 您 他 她 它 和 与 在 请 把 被
"""
_STOP_WORDS = frozenset(_SAID_OFTEN.split())
# In scripts without spaces only whole phrases can be left out: a single 的 may be half of 目的.
_STOP_PHRASES = re.compile(
    "为什么|怎么样|有没有|什么|怎么|如何|可以|请问|我们|你们|他们|这个|那个|哪个|哪些|是否|能否|一下|一个|需要|ください|でしょうか|ですか|ますか|です|ます|それは|これは"
)


def tokens(text: str, *, max_chars: int = MAX_TEXT_CHARS) -> list[str]:
    """Return the tokens of the first `max_chars` characters, in order, repeated as often as they occur.

    NFKC, case folded. Words of a-z are stemmed; scripts without spaces give pairs of characters, a character that stands alone itself.
    """
    return [_stemmed(word) for word in _words(_normal(text, max_chars))]


def query_tokens(text: str, *, max_chars: int = MAX_TEXT_CHARS, max_tokens: int = MAX_QUERY_TOKENS) -> list[str]:
    """Return what a search looks for: the first `max_tokens` distinct tokens without stop words.

    A text of nothing but stop words ("who are you?") keeps them.
    """
    normal = _normal(text, max_chars)
    telling = [word for word in _words(_STOP_PHRASES.sub(" ", normal)) if word not in _STOP_WORDS]
    return list(dict.fromkeys(map(_stemmed, telling or _words(normal))))[:max_tokens]


def telling_length(found: Sequence[str]) -> int:
    """Return how long a text is to a ranking: its tokens without stop words, of which no search is made; of a text of nothing else all of them."""
    return sum(token not in _STOP_TOKENS for token in found) or len(found)


def _normal(text: str, max_chars: int) -> str:
    return unicodedata.normalize("NFKC", text[:max_chars])[:max_chars].casefold()  # one character may become eighteen


def _words(normal: str) -> Iterator[str]:
    for run in _RUNS.finditer(normal):
        word = run[0]
        if not run["unspaced"]:
            yield word.replace("’", "'").removesuffix("'s").replace("'", "")[:MAX_TOKEN_CHARS]
        elif len(word) == 1:
            yield word
        else:
            yield from (word[at : at + 2] for at in range(len(word) - 1))


def _stemmed(word: str) -> str:
    return stem(word) if _ASCII_WORD.fullmatch(word) else word


_STOP_TOKENS = frozenset(map(_stemmed, _STOP_WORDS))
