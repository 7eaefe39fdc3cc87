"""Single values of YAML: comments, quotes, and lists and mappings in brackets."""

import re
from typing import TypeAlias

Yaml: TypeAlias = str | list["Yaml"] | dict[str, "Yaml"]

_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b", " ": " ", '"': '"', "/": "/", "\\": "\\",
    "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*(?:#.*)?', re.DOTALL)
_SINGLE = re.compile(r"'((?:[^']|'')*)'[ \t]*(?:#.*)?", re.DOTALL)
_COMMENT = re.compile(r"(?:^|[ \t])#.*", re.DOTALL)
_PIECE = re.compile(r"""(?:("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')|([\[\]{},])|(:)(?=[\s,\[\]{}"']|$)|([^\s\[\]{},"':](?:[^\[\]{},:]|:(?![\s,\[\]{}]|$))*|:))""")
_LAST_CODE = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def cut_comment(text: str) -> str:
    """Return a plain value without the comment behind it."""
    return text if text[:1] in "\"'" and text else _COMMENT.sub("", text).strip()


def unquoted(text: str) -> str | None:
    """Return what stands in quotes; None where the text is not one whole quoted value."""
    if text.startswith("'"):
        single = _SINGLE.fullmatch(text)
        return single[1].replace("''", "'") if single else None
    double = _DOUBLE.fullmatch(text)
    return _ESCAPE.sub(_unescaped, double[1]) if double else None


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code is None:
        return _ESCAPES.get(match[4], match[0])
    number = int(code, 16)
    return "\ufffd" if number in _SURROGATES or number > _LAST_CODE else chr(number)


class Flow:
    """A list or mapping in brackets: `value` where `is_closed`. Nothing in it is followed, and it is read once, from left to right."""

    def __init__(self, text: str, max_depth: int) -> None:
        self._pieces = list(_PIECE.finditer(text))
        self._at = 0
        self.is_closed = False
        self.value: Yaml = ""
        if self._is_balanced(max_depth):
            self.value = self._read()
            self.is_closed = self._at == len(self._pieces)

    def _is_balanced(self, max_depth: int) -> bool:
        depth = 0
        for place, piece in enumerate(self._pieces):
            depth += 1 if piece[2] and piece[2] in "[{" else -1 if piece[2] and piece[2] in "]}" else 0
            if depth > max_depth or depth < 0 or (depth == 0 and place + 1 < len(self._pieces)):
                return False
        return depth == 0 and bool(self._pieces)

    def _read(self) -> Yaml:
        opener = self._sign()
        if opener not in ("[", "{"):
            return self._scalar()
        self._at += 1
        items: list[Yaml] = []
        pairs: dict[str, Yaml] = {}
        while (sign := self._sign()) not in ("]", "}"):
            if sign == ",":
                self._at += 1
                continue
            item = self._read()
            if self._at < len(self._pieces) and self._pieces[self._at][3]:
                self._at += 1
                pairs[item if isinstance(item, str) else str(item)] = "" if self._sign() in (",", "]", "}") else self._read()
            elif opener == "{":
                pairs[item if isinstance(item, str) else str(item)] = ""
            else:
                items.append(item)
        self._at += 1
        return pairs if opener == "{" else [*items, pairs] if pairs else items

    def _sign(self) -> str | None:
        return self._pieces[self._at][2]

    def _scalar(self) -> str:
        piece = self._pieces[self._at]
        self._at += 1
        return (unquoted(piece[1]) or "") if piece[1] else (piece[4] or piece[3] or "").strip()
