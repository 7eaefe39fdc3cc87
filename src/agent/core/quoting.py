"""A stranger's words in a prompt: they cannot close the block that they stand in, hide anything, or look like another line of it."""

import html
import re

CUT = "…"
"""Stands at the end of what was cut."""

# Control and format characters, those that turn the direction of writing, invisible ones, line ends of other alphabets, half characters.
# The joiners U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_HALVES = re.compile("[\ud800-\udfff]")


def one_line(text: str, *, max_chars: int) -> str:
    """Return `text` as one line of at most `max_chars` characters before it is escaped; what is cut ends in `CUT`."""
    plain = " ".join(_UNSEEN.sub(" ", text[: 4 * max_chars]).split())
    if len(plain) > max_chars or len(text) > 4 * max_chars:
        plain = plain[: max_chars - 1].rstrip() + CUT
    return html.escape(_HALVES.sub("\ufffd", plain), quote=False)


def plain_lines(text: str) -> str:
    """Return a text of several lines in which nothing is hidden and nothing closes a block; its lines stay."""
    return html.escape("\n".join(_HALVES.sub("\ufffd", _UNSEEN.sub(" ", line)).rstrip() for line in text.split("\n")), quote=False)
