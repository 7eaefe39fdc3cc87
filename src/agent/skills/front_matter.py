"""The part of YAML that front matter is made of, read leniently: every oddity is a problem in words, and never an exception.

Anchors, aliases and tags are not followed, so that nothing written here can grow. Values are text, lists and mappings of
text: YAML's numbers, dates and booleans stay as they are written.

Source: the Agent Skills specification, and its guide for clients (values with an unquoted colon are accepted).
"""

import re
from typing import NamedTuple

from agent.models.value import Value
from agent.skills.yaml_scalars import Flow, Yaml, cut_comment, unquoted

MAX_FRONT_MATTER_CHARS = 65_536
"""Characters between the fences that are read; what stands after them is left out."""
MAX_DEPTH = 8
"""How deep lists and mappings may stand in each other; deeper ones are read as text."""
MAX_VALUE_LINES = 200
"""Lines that a value in quotes or brackets may go on over."""
MAX_PROBLEMS = 20
"""Problems of one file that are told."""
_KEY = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s:#'"\[\]{}&*!|>%@`,-][^:]{0,120}?|-[^\s:][^:]{0,120}?)[ \t]*:(?:[ \t]+(.*)|)""", re.DOTALL)
_BLOCK = re.compile(r"([|>])([+-]?)([1-9]?)([+-]?)[ \t]*(#.*)?")


class FrontMatter(Value, frozen=True):
    """What stands before a text and the text itself; `problems` says what a strict reader would refuse."""

    fields: dict[str, Yaml]
    body: str
    problems: tuple[str, ...] = ()


class _Line(NamedTuple):
    number: int  # in the file, from 1
    indent: int
    text: str  # without its indent


def read_front_matter(text: str) -> FrontMatter:
    """Return what a file like SKILL.md says. Without front matter all of it is body."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((at for at, line in enumerate(lines) if line.strip()), len(lines))
    if first == len(lines) or lines[first].rstrip() != "---":
        return FrontMatter({}, "\n".join(lines).strip(), ("there is no front matter: the first line is not ---",))
    last = next((at for at in range(first + 1, len(lines)) if lines[at].rstrip() in ("---", "...")), None)
    if last is None:
        return FrontMatter({}, "\n".join(lines[first + 1 :]).strip(), ("the front matter is not closed: no second line ---",))
    head, problems = lines[first + 1 : last], ["empty lines stand before the front matter"] if first else []
    if sum(len(line) + 1 for line in head) > MAX_FRONT_MATTER_CHARS:
        problems.append(f"the front matter has more than {MAX_FRONT_MATTER_CHARS} characters: the rest of it was left out")
        head = "\n".join(head)[:MAX_FRONT_MATTER_CHARS].split("\n")
    reader = _Reader(head, first + 2, problems)
    opening = reader.peek()
    fields = reader.mapping(opening.indent, 0) if opening is not None else {}
    if (left := reader.peek()) is not None:
        reader.complain(left.number, "stands less deep than the first: what follows was left out")
    return FrontMatter(fields, "\n".join(lines[last + 1 :]).strip(), tuple(problems[:MAX_PROBLEMS]))


class _Reader:
    """Goes through the lines once, from the first to the last."""

    def __init__(self, lines: list[str], first: int, problems: list[str]) -> None:
        self.lines, self.first, self.problems, self.at = lines, first, problems, 0

    def complain(self, number: int, what: str) -> None:
        """Note a problem of a line."""
        self.problems.append(f"line {number} of it {what}")

    def peek(self) -> _Line | None:
        """Return the next line that says something, which is then the current one."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            text = line.lstrip(" \t")
            if text and not text.startswith("#"):
                return _Line(self.first + self.at, len(line) - len(text), text.rstrip())
            self.at += 1
        return None

    def mapping(self, indent: int, depth: int) -> dict[str, Yaml]:
        """Read `key: value` lines of one indent."""
        found: dict[str, Yaml] = {}
        while (line := self.peek()) is not None and line.indent >= indent:
            match = _KEY.fullmatch(line.text)
            self.at += 1
            if match is None or line.indent > indent:
                self.complain(line.number, "is no 'key: value' at the place where one is due")
                continue
            key = (unquoted(match[1]) or "") if match[1][0] in "\"'" else match[1]
            if key in found:
                self.complain(line.number, f"names {key!r:.60} a second time: the later one holds")
            found[key] = self.value(match[2] or "", line, depth)
        return found

    def sequence(self, indent: int, depth: int) -> list[Yaml]:
        """Read `- item` lines of one indent."""
        found: list[Yaml] = []
        while (line := self.peek()) is not None and line.indent == indent and (line.text == "-" or line.text.startswith("- ")):
            rest = line.text[1:].lstrip()
            inner = line.indent + len(line.text) - len(rest)
            if _KEY.fullmatch(rest) and depth < MAX_DEPTH:  # a mapping begins on the line of its dash
                self.lines[self.at] = " " * inner + rest
                found.append(self.mapping(inner, depth + 1))
            else:
                self.at += 1
                found.append(self.value(rest, line, depth))
        return found

    def value(self, rest: str, line: _Line, depth: int) -> Yaml:
        """Read what stands behind a colon or a dash, and on the lines that belong to it."""
        header = _BLOCK.fullmatch(rest)
        if header is not None:
            return self.block(header, line.indent)
        bare = cut_comment(rest)
        if not bare:
            return self.below(line, depth)
        if bare[0] in "\"'":
            return self.quoted(rest, line)
        if bare[0] in "[{":
            return self.flow(rest, line, depth)
        if bare[0] in "&*!%@`|>":
            self.complain(line.number, f"begins with {bare[0]!r}, which is not followed: put the value in quotes")
        elif ": " in bare or bare.endswith(":"):
            self.complain(line.number, "has a colon in its value: put the value in quotes")
        return " ".join([bare, *self.continued(line.indent)])

    def below(self, line: _Line, depth: int) -> Yaml:
        """Read the lines below one whose value is empty."""
        following = self.peek()
        if following is None or following.indent < line.indent:
            return ""
        is_list = following.text == "-" or following.text.startswith("- ")
        if following.indent == line.indent and not (is_list and not line.text.startswith("- ")):
            return ""
        if following.text[0] in "[{\"'" and _KEY.fullmatch(following.text) is None:  # what belongs behind the colon stands below it
            self.at += 1
            return self.value(following.text, line, depth)
        if depth >= MAX_DEPTH:
            self.complain(following.number, f"stands more than {MAX_DEPTH} deep: it is read as text")
        elif is_list:
            return self.sequence(following.indent, depth + 1)
        elif _KEY.fullmatch(following.text):
            return self.mapping(following.indent, depth + 1)
        return " ".join(self.continued(line.indent))

    def continued(self, indent: int) -> list[str]:
        """Read the lines of a plain value that stand deeper than its key."""
        found = []
        while (line := self.peek()) is not None and line.indent > indent:
            self.at += 1
            found.append(cut_comment(line.text))
        return found

    def block(self, header: re.Match[str], indent: int) -> str:
        """Read the lines of a `|` or `>` value."""
        taken: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at].rstrip() if not self.lines[self.at].strip() else self.lines[self.at]
            if line and len(line) - len(line.lstrip(" \t")) <= indent:
                break
            taken.append(line)
            self.at += 1
        margin = indent + int(header[3]) if header[3] else min((len(line) - len(line.lstrip(" \t")) for line in taken if line), default=0)
        lines = [line[margin:] for line in taken]
        text = "\n".join(lines) if header[1] == "|" else _folded(lines)
        keeps, strips = "+" in header[2] + header[4], "-" in header[2] + header[4]
        return text + "\n" if keeps else text.rstrip("\n") + ("" if strips or not text.strip() else "\n")

    def quoted(self, rest: str, line: _Line) -> str:
        """Read a value in quotes, which may go on over lines."""
        text, last = rest, min(len(self.lines), self.at + MAX_VALUE_LINES)
        while (value := unquoted(text)) is None and self.at < last:
            following = self.lines[self.at].strip()
            text += ("" if text.endswith("\n") else " ") + following if following else "\n"
            self.at += 1
        if value is None:
            self.complain(line.number, "opens a quote that is never closed")
            return rest[1:]
        return value

    def flow(self, rest: str, line: _Line, depth: int) -> Yaml:
        """Read a list or mapping in brackets, which may go on over lines."""
        text, began, last = _without_comment(rest), self.at, min(len(self.lines), self.at + MAX_VALUE_LINES)
        while not (flow := Flow(text, MAX_DEPTH - depth)).is_closed and self.at < last:
            text += " " + _without_comment(self.lines[self.at].strip())
            self.at += 1
        if not flow.is_closed:
            self.at = began
            self.complain(line.number, "opens a bracket that is never closed, or stands too deep: it is read as text")
            return " ".join([rest, *self.continued(line.indent)])
        return flow.value


def _without_comment(line: str) -> str:
    """Return a line of a value in brackets; where there are quotes, a # may stand in them."""
    return line if '"' in line or "'" in line else cut_comment(line)


def _folded(lines: list[str]) -> str:
    """Return the lines of a `>` value as paragraphs; lines that stand deeper are kept as they are."""
    parts: list[str] = []
    blank, was_plain = 0, False
    for line in lines:
        if not line:
            blank += 1
            continue
        is_plain = line[0] not in " \t"
        if not parts:
            parts.append("\n" * blank)
        elif is_plain and was_plain:
            parts.append("\n" * blank or " ")
        else:
            parts.append("\n" * (blank + 1))
        parts.append(line)
        blank, was_plain = 0, is_plain
    return "".join(parts) + "\n" * blank
