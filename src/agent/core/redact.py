"""Secrets leave a text before it is hashed, stored or sent on."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from agent.models.json_text import json_of

MAX_DEPTH = 120  # of lists and objects in each other; what is deeper is left out. More than arguments may have: cut ones must not look sound
MAX_INTEGER_BITS = 14_000  # Python prints no integer of more than 4300 digits
MIN_SECRET = 8  # characters; shorter values would be found in ordinary text
_NAMES = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|xox[abprs]-[A-Za-z0-9-]{20,}|AKIA[0-9A-Z]{16}|AIza[A-Za-z0-9_-]{30,})"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_HINT = re.compile("sk-|gh[pousr]_|github_pat_|xox|AKIA|AIza")


_REFERENCE = re.compile(r"\[secret:([^\[\]]{1,200})\]")
EVERY_SECRET = "*"  # noqa: S105  # no secret
"""Among the names of secrets that a tool is given: all of them."""


class Redactor:
    """Replaces secrets by `[secret:NAME]`, and repairs text that no encoding can hold."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        known = {value: name for name, value in secrets.items() if len(value) >= MIN_SECRET}
        self._known = sorted(known.items(), key=lambda pair: len(pair[0]), reverse=True)  # a secret may be part of a longer one
        self._is_simple = not any(json_of(value) != f'"{value}"' for value in known)  # none looks different in JSON

    def revealed(self, value: Any, names: Collection[str], missing: set[str]) -> Any:
        """Return plain JSON data with the secrets in the place of references to them, for those of `names`; other references stay.

        References to named secrets that are not known here stay, too, and go to `missing`.
        """
        if isinstance(value, dict):
            return {key: self.revealed(item, names, missing) for key, item in value.items()}
        if isinstance(value, list):
            return [self.revealed(item, names, missing) for item in value]
        return _REFERENCE.sub(lambda found: self._secret(found, names, missing), value) if isinstance(value, str) and "[secret:" in value else value

    def _secret(self, found: re.Match[str], names: Collection[str], missing: set[str]) -> str:
        name = found[1]
        if name not in names and EVERY_SECRET not in names:
            return found[0]
        value = next((value for value, known in self._known if known == name), None)
        if value is None:
            missing.add(name)
        return found[0] if value is None else value

    def text(self, text: str) -> str:
        """Return `text` without secrets; lone surrogates become U+FFFD."""
        if not text.isascii() and _has_surrogate(text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for value, name in self._known:
            if value in text:
                text = text.replace(value, f"[secret:{name}]")
        if ("-" in text or "_" in text or "A" in text) and _HINT.search(text):  # single characters are found very quickly
            return _SHAPES.sub("[secret:redacted]", text)
        return text

    def calls(self, calls: Any) -> Any:
        """Return a model's tool calls redacted: looked at as one text first, since they hardly ever hold a secret."""
        text = json_of(calls) if self._is_simple else None
        if text is not None and self.text(text) == text:
            return calls
        return [self._call(call) for call in calls] if isinstance(calls, list | tuple) else self.value(calls)

    def _call(self, call: Any) -> Any:
        """Return one call redacted. Its arguments are not repaired: what is no JSON must not become some by being written down."""
        if not isinstance(call, dict):
            return self.value(call)
        whole = call.get("function")
        if isinstance(whole, dict):
            return self.value({**call, "function": {**whole, "arguments": _as_written(whole["arguments"])} if "arguments" in whole else whole})
        return self.value({**call, "arguments": _as_written(call["arguments"])} if "arguments" in call else call)

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return a value as plain JSON data with every text in it redacted, keys too; what JSON has no word for becomes text."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return value if value.bit_length() <= MAX_INTEGER_BITS else f"<integer of {value.bit_length()} bits>"
        if depth > MAX_DEPTH:
            return "<nested too deep>"
        if isinstance(value, dict):
            return {self.text(k if isinstance(k, str) else printed(k)): self.value(v, depth + 1) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(v, depth + 1) for v in value]
        return self.text(printed(value))


def _as_written(arguments: Any) -> Any:
    """Return arguments in a form that can be kept and still is refused where they would be: half characters as escapes, no JSON as text."""
    if isinstance(arguments, str):
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", arguments) if _has_surrogate(arguments) else arguments
    if isinstance(arguments, dict) and json_of(arguments) is None:
        try:
            return json.dumps(arguments)
        except (TypeError, ValueError, RecursionError):
            return f"<arguments that are no JSON: {type(arguments).__name__}>"
    return arguments


def printed(value: Any) -> str:
    """Return `str(value)`, or what it was where that fails (a number of thousands of digits, an object's own method)."""
    try:
        return str(value)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return f"<{type(value).__name__}>"


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def secrets_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those variables whose names say that their values are secret."""
    return {name: value for name, value in environment.items() if _NAMES.search(name) and len(value) >= MIN_SECRET}
