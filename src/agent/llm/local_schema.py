"""Tools as one JSON schema of a reply, and the reply's text back as calls: what a very small model can be held to."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from agent.models.value import Value

MAX_ANSWER_CHARS = 2000
MAX_ARGUMENT_CHARS = 400
"""Longest string in an argument, where the tool's schema does not set a shorter one; llama.cpp's grammar needs a bound."""
MAX_ITEMS = 16
MAX_DEPTH = 8
"""Levels of a tool's schema that are kept; deeper ones allow any value."""

ANSWER = "final_answer"

_KEPT = ("type", "enum", "const", "minimum", "maximum", "minItems", "minLength")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ANSWER_BEGINS = re.compile(r'\s*\{\s*"' + ANSWER + r'"\s*:\s*"')


class Said(Value, frozen=True):
    """A reply as it was understood: an answer or a call, or neither when it was cut off."""

    answer: str | None = None
    tool: str | None = None
    arguments: Any = None
    raw_arguments: str = ""


def reply_schema(
    tools: Sequence[Mapping[str, Any]],
    *,
    leave_out: Collection[str] = (),
    among: Mapping[tuple[str, str], Sequence[str]] | None = None,
    answer: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the schema of one reply: one of `tools` with its arguments, or the final answer.

    `leave_out` names what may not be chosen this time, tools or `final_answer`; `among` gives the only values of an argument, by tool and
    argument; `answer` is the answer's own schema, text otherwise.
    """
    known = dict(_tools(tools))
    for (name, argument), values in (among or {}).items():
        known[name]["properties"][argument] = {"enum": list(values)}
    ways = [_object({"tool": {"const": name}, "arguments": arguments}) for name, arguments in known.items() if name not in leave_out]
    if ANSWER not in leave_out or not ways:
        ways.append(_object({ANSWER: _reduced(answer, answer, 0) if answer else {"type": "string", "minLength": 1, "maxLength": MAX_ANSWER_CHARS}}))
    return ways[0] if len(ways) == 1 else {"oneOf": ways}


def understood(text: str) -> Said:
    """Return what `text` says; a reply that was cut off keeps what there is."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return _cut_off(text)
    if not isinstance(said, dict):
        return Said(answer=text)
    if "tool" in said:
        arguments = said.get("arguments", {})
        return Said(tool=str(said["tool"]), arguments=arguments, raw_arguments=msgspec.json.encode(arguments).decode())
    answer = said.get(ANSWER, text)
    return Said(answer=answer if isinstance(answer, str) else msgspec.json.encode(answer).decode())


class AnswerText:
    """The text of the final answer out of a reply that is still forming; `text` is the raw reply so far."""

    __slots__ = ("_at", "text")

    def __init__(self) -> None:
        self.text, self._at = "", 0

    def add(self, piece: str) -> str:
        """Return what `piece` adds to the answer; empty for a call, and for what cannot be told yet."""
        self.text += piece
        if not self._at:
            begun = _ANSWER_BEGINS.match(self.text)
            if begun is None:
                return ""
            self._at = begun.end()
        added, self._at = _unescaped(self.text, self._at)
        return added


def _tools(tools: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for tool in tools:
        function = tool["function"]
        given = function.get("parameters") or {}
        found.append((str(function["name"]), {"type": "object", "properties": {}, **_reduced(given, given, 0)}))
    return found


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _reduced(schema: Any, root: Any, depth: int) -> dict[str, Any]:
    """Return `schema` with only what the grammar knows: no patterns, formats or references, and every string bounded."""
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return {}
    if isinstance(schema.get("$ref"), str):
        return _reduced(_referred(schema["$ref"], root), root, depth + 1)
    ways = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if isinstance(ways, list) and ways:
        return {"anyOf": [_reduced(way, root, depth + 1) for way in ways]}
    out = {key: schema[key] for key in _KEPT if key in schema}
    kind = schema.get("type")
    if kind == "string" and not {"enum", "const"} & out.keys():
        bound = schema.get("maxLength")
        out["maxLength"] = min(bound, MAX_ARGUMENT_CHARS) if isinstance(bound, int) else MAX_ARGUMENT_CHARS
        out["minLength"] = min(int(out.get("minLength", 0)), int(out["maxLength"]))
    if kind == "array":
        out["items"] = _reduced(schema.get("items"), root, depth + 1)
        out["maxItems"] = min(int(schema.get("maxItems", MAX_ITEMS)), MAX_ITEMS)
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        out["properties"] = {str(name): _reduced(of, root, depth + 1) for name, of in properties.items()}
        out["required"] = [name for name in schema.get("required", ()) if name in properties]
        out["additionalProperties"] = False
    return out


def _referred(reference: str, root: Any) -> Any:
    found = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _cut_off(text: str) -> Said:
    answer = AnswerText().add(text)
    if answer:
        return Said(answer=answer)
    begun = re.match(r'\s*\{\s*"tool"\s*:\s*"([^"]+)"\s*,\s*"arguments"\s*:\s*', text)
    if begun:
        return Said(tool=begun.group(1), raw_arguments=text[begun.end() :])
    return Said()


def _unescaped(text: str, at: int) -> tuple[str, int]:
    """Return the characters of the JSON string in `text` from `at` on, as far as they are whole, and where to go on."""
    out: list[str] = []
    while at < len(text) and text[at] != '"':
        if text[at] != "\\":
            out.append(text[at])
            at += 1
            continue
        piece = _escape_at(text, at)
        if piece is None:
            break
        out.append(piece[0])
        at = piece[1]
    return "".join(out), at


def _escape_at(text: str, at: int) -> tuple[str, int] | None:
    """Return the character of the escape at `at` and its end, or None when it is not whole yet."""
    kind = text[at + 1 : at + 2]
    if kind != "u":
        return (_ESCAPES.get(kind, kind), at + 2) if kind else None
    end = at + 6
    if text[at + 2 : at + 4].lower() in ("d8", "d9", "da", "db"):
        end = at + 12  # the first half of a pair
    if len(text) < end:
        return None
    try:
        return json.loads(f'"{text[at:end]}"'), end
    except ValueError:
        return "\ufffd", at + 6
