"""The Porter stemmer: English words to their stems, so that `refunds` finds `refunded`.

Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the two changes of his own reference program (`bli`, `logi`).
"""

import re
from functools import lru_cache

KEPT = 8_192
"""Words whose stems are kept: most words of most texts are among those that came last."""

_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous",
    "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al", "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive",
    "biliti": "ble", "logi": "log",
}  # fmt: skip
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4 = ["al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ou", "ism", "ate", "iti", "ous", "ive", "ize"]


def _ending(suffixes: list[str]) -> re.Pattern[str]:
    """Match the longest of `suffixes` at a word's end."""
    return re.compile(rf"(.+?)({'|'.join(suffixes)})$")


# A consonant run and a vowel run; `y` is a vowel after a consonant.
_C, _V = "[^aeiou][^aeiouy]*", "[aeiouy][aeiou]*"
_MEASURE_ABOVE_0 = re.compile(f"(?:{_C})?{_V}{_C}")
_MEASURE_IS_1 = re.compile(f"(?:{_C})?{_V}{_C}(?:{_V})?$")
_MEASURE_ABOVE_1 = re.compile(f"(?:{_C})?{_V}{_C}{_V}{_C}")
_HAS_VOWEL = re.compile(f"(?:{_C})?[aeiouy]")
_IS_SHORT = re.compile(f"{_C}[aeiouy][^aeiouwxy]$")  # consonant, vowel, consonant: hop, fil
_DOUBLED = re.compile(r"([^aeiouylsz])\1$")
_ENDING_2, _ENDING_3, _ENDING_4 = _ending([*_STEP_2]), _ending([*_STEP_3]), _ending([*_STEP_4])


@lru_cache(KEPT)
def stem(word: str) -> str:
    """Return the stem of a lower-case word of a-z; anything of two letters or fewer is its own."""
    if len(word) <= 2:  # noqa: PLR2004 (Porter's rule)
        return word
    # A `y` at the start is a consonant: hide it from the patterns.
    if word[0] == "y":
        word = "Y" + word[1:]
    word = _without_plural(word)
    word = _without_past(word)
    if word[-1] == "y" and _HAS_VOWEL.match(word[:-1]):
        word = word[:-1] + "i"
    for ending, replacements in ((_ENDING_2, _STEP_2), (_ENDING_3, _STEP_3)):
        found = ending.match(word)
        if found and _MEASURE_ABOVE_0.match(found[1]):
            word = found[1] + replacements[found[2]]
    word = _without_residue(word)
    return _without_final_e(word).lower()


def _without_plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def _without_past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _MEASURE_ABOVE_0.match(word[:-3]) else word
    base = word[:-2] if word.endswith("ed") else word[:-3] if word.endswith("ing") else ""
    if not base or not _HAS_VOWEL.match(base):
        return word
    if base.endswith(("at", "bl", "iz")):
        return base + "e"
    if _DOUBLED.search(base):
        return base[:-1]
    return base + "e" if _MEASURE_IS_1.match(base) and _IS_SHORT.match(base) else base


def _without_residue(word: str) -> str:
    found = _ENDING_4.match(word)
    if found:
        return found[1] if _MEASURE_ABOVE_1.match(found[1]) else word
    base = word[:-3]
    return base if word.endswith(("sion", "tion")) and _MEASURE_ABOVE_1.match(base) else word


def _without_final_e(word: str) -> str:
    base = word[:-1]
    if word.endswith("e") and (_MEASURE_ABOVE_1.match(base) or (_MEASURE_IS_1.match(base) and not _IS_SHORT.match(base))):
        word = base
    return word[:-1] if word.endswith("ll") and _MEASURE_ABOVE_1.match(word) else word
