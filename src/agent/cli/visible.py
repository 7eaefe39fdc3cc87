"""Text that strangers wrote (models, tools, files), made safe for a terminal and short enough for a line."""

import json
import re
from typing import Any

# What moves a cursor, turns the direction of writing round, or cannot be seen. Joiners (U+200C, U+200D) stay: scripts and emoji need them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]")
_LAST_CONTROL, _DELETE, _PICTURES = 0x1F, 0x7F, 0x2400  # Unicode has a picture of each ASCII control character
_BLANKS = re.compile(r"\s+")
ARGUMENT_CHARS = 60  # of one argument, in a line


def visible(text: str) -> str:
    """Return `text` with control characters shown as signs; line ends and tabs stay."""
    return _UNSEEN.sub(_sign, text)


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= _LAST_CONTROL:
        return chr(_PICTURES + code)
    return "␡" if code == _DELETE else f"\\u{{{code:x}}}"


def one_line(value: Any, most: int = 100) -> str:
    """Return a value as one visible line of at most `most` characters."""
    text = value if isinstance(value, str) else json_text(value)
    text = _BLANKS.sub(" ", visible(text[: most * 8]).strip()) if len(text) > most * 8 else _BLANKS.sub(" ", visible(text).strip())
    return text if len(text) <= most else text[: most - 1] + "…"


def json_text(value: Any) -> str:
    """Return a value as JSON; what JSON does not know is told in words."""
    return json.dumps(value, ensure_ascii=False, default=str)


def call_text(name: str, arguments: Any) -> str:
    """Return a tool call as a person would write it: `read_file(path="a.txt")`."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return f"{one_line(name, ARGUMENT_CHARS)}({one_line(arguments, ARGUMENT_CHARS)})"
    if not isinstance(arguments, dict):
        return f"{one_line(name, ARGUMENT_CHARS)}({one_line(arguments, ARGUMENT_CHARS) if arguments is not None else ''})"
    inside = ", ".join(f"{one_line(key, ARGUMENT_CHARS)}={one_line(json_text(value), ARGUMENT_CHARS)}" for key, value in list(arguments.items())[:8])
    return f"{one_line(name, ARGUMENT_CHARS)}({inside}{', …' if len(arguments) > 8 else ''})"  # noqa: PLR2004  # as above


def result_text(result: Any) -> str:
    """Return a tool's result as one line, with how much more there is."""
    text = result if isinstance(result, str) else json_text(result)
    lines = text.count("\n") + 1
    return one_line(text, 90) + (f" ({lines} lines)" if lines > 1 else "") if text.strip() else "(nothing)"


def cost_text(cost: float | None, *, is_partial: bool = False) -> str:
    """Return a cost in USD; an unknown one is never 0."""
    if cost is None or (is_partial and not cost):
        return "cost unknown"
    shown = "$0" if not cost else f"${cost:.4f}" if cost >= 0.0001 else f"${cost:.2g}"  # noqa: PLR2004  # four digits show it
    return f"at least {shown}" if is_partial else shown


def took_text(seconds: float) -> str:
    """Return how long something took."""
    if seconds < 10:  # noqa: PLR2004  # below, tenths matter
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def tokens_text(count: int) -> str:
    """Return a number of tokens."""
    return f"{count:,} token{'' if count == 1 else 's'}"


def count_text(number: int, what: str) -> str:
    """Return so many of something, in words: the plural is by `s`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
