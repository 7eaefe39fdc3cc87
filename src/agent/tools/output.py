"""Answers of a given form: from a type or a JSON schema to what checks a model's text."""

import inspect
import json
from collections.abc import Callable
from typing import Any

from agent.errors import SchemaUnsupported
from agent.tools.given_schema import complaints_by_schema
from agent.tools.json_text import JsonLimits, NotJson, encode_json, parse_json, plain_json
from agent.tools.schema import complaints_of, quiet_generator
from agent.tools.tool import Complaints, shortened
from agent.tools.typed_dicts import portable

MAX_OUTPUT_CHARS = 1_000_000
"""Characters of an answer that is read; a longer one does not fit."""
MAX_SCHEMA_CHARS = 100_000
"""Characters of a schema: it is part of what the model reads."""
MAX_PROBLEM_CHARS = 2_000
"""Characters of what is told of an answer that does not fit."""
_LIMITS = JsonLimits(max_chars=MAX_OUTPUT_CHARS)
_FENCE = "```"


class OutputChecker:
    """Reads an answer: strict JSON that fits a schema, and the type it was made from, where there is one."""

    def __init__(self, schema: dict[str, Any], adapter: Any = None) -> None:
        """Take a schema of plain JSON.

        Raises:
            SchemaUnsupported: it is not valid, or refers to something outside of it.
        """
        self.schema = schema
        self._complaints: Callable[[Any], Complaints] = complaints_by_schema("output_type", schema)
        self._adapter = adapter

    def read(self, text: str) -> tuple[Any, str | None]:
        """Return the value that an answer gives, and None; or None, and what is wrong with it."""
        try:
            value = parse_json(unfenced(text), _LIMITS)
            encoded = encode_json(value)
        except (NotJson, RecursionError) as error:
            return None, f"it is not one JSON value: {shortened(str(error) or type(error).__name__, MAX_PROBLEM_CHARS)}"
        complaints = self._complaints(value) or self._by_type(encoded)
        return (None, shortened("; ".join(complaints), MAX_PROBLEM_CHARS)) if complaints else (value, None)

    def _by_type(self, encoded: bytes) -> Complaints:
        """Return what the type itself says: validators that no schema tells of."""
        if self._adapter is None:
            return []
        try:
            self._adapter.validate_json(encoded)
        except Exception as error:  # noqa: BLE001  # validators are the caller's code: whatever they raise is told to the model
            return complaints_of(error)
        return []


def checker_of(output_type: Any) -> OutputChecker:
    """Return what checks answers: for a JSON schema (a dict), or a type that pydantic knows (a model, dataclass, TypedDict, list[…] …).

    Raises:
        SchemaUnsupported: it has no JSON schema, or the schema is not valid.
    """
    if isinstance(output_type, dict):
        return OutputChecker(_plain(output_type))
    if inspect.isroutine(output_type):  # pydantic would check arguments for it
        raise SchemaUnsupported(f"output_type {output_type!r:.100} is a function: give a pydantic model, a dataclass, or a JSON schema")
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        adapter: Any = TypeAdapter(portable(output_type))
        schema = adapter.json_schema(schema_generator=quiet_generator())
    except (PydanticUserError, TypeError, NameError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SchemaUnsupported(
            f"output_type {output_type!r:.100} has no JSON schema: {reason}; give a pydantic model, a dataclass, or a JSON schema"
        ) from error
    return OutputChecker(_plain(schema), adapter)


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        own: dict[str, Any] = plain_json(schema)
        size = len(encode_json(own))
    except NotJson as error:
        raise SchemaUnsupported(f"output_type: the schema is not plain JSON: {error}") from None
    if size > MAX_SCHEMA_CHARS:
        raise SchemaUnsupported(f"output_type: the schema has {size} characters, more than {MAX_SCHEMA_CHARS}: the model is to read it")
    return own


def schema_text(schema: dict[str, Any]) -> str:
    """Return a schema as the model reads it."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def unfenced(text: str) -> str:
    """Return a text without a code fence around it, or what stands in its only code fence."""
    text = text.strip()
    first, last = text.find(_FENCE), text.rfind(_FENCE)
    if first < 0 or first == last or text.count(_FENCE, 0, last) > 1 or text[:1] in "{[":
        return text
    _, _, inside = text[first:last].partition("\n")
    return inside.strip()
