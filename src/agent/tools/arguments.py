"""Arguments of a call: from what the model wrote to plain JSON that fits the tool, or a sentence that tells the model why not."""

import copy
import inspect
import json
from typing import Any

from agent.errors import ToolArgumentsInvalid
from agent.models.value import Value
from agent.tools.context import ToolContext
from agent.tools.json_text import LIMITS, JsonLimits, NotJson, encode_json, parse_json, plain_json
from agent.tools.signature import is_context
from agent.tools.tool import Tool

MAX_SCHEMA_CHARS = 8_000  # of the schema in an error; a longer one is cut


class Parsed(Value, frozen=True, gc=False):
    """Arguments that fit. `was_repaired`: they are what was probably meant, not what was written."""

    arguments: dict[str, Any]  # plain JSON
    was_repaired: bool = False


def parse_arguments(tool: Tool, raw: str | dict[str, Any] | None, *, limits: JsonLimits = LIMITS) -> Parsed:
    """Return the arguments as plain JSON that fits the tool's schema. None and blank text are no arguments.

    Text must be one strict JSON object; a dict is copied, never kept. What fits only after reading "5" as 5, or a quoted
    object as an object, comes back as repaired.

    Raises:
        ToolArgumentsInvalid: says what is wrong, and shows the schema.
    """
    try:
        arguments, was_quoted = _read(raw, limits)
        encoded = encode_json(arguments)
    except (NotJson, RecursionError) as error:
        raise _invalid(tool, [str(error) or type(error).__name__]) from None
    complaints = tool.checker.check(arguments, encoded)
    if not complaints:
        return Parsed(arguments, was_quoted)
    repaired = _repaired(tool, arguments, encoded, limits)
    if repaired is None:
        raise _invalid(tool, complaints)
    return Parsed(repaired, was_repaired=True)


def needs_confirmation(tool: Tool, arguments: dict[str, Any], context: ToolContext | None = None) -> bool:
    """Return whether a person must agree to this call first. A rule that fails, or answers with anything but a truth value, asks."""
    rule = tool.requires_confirmation
    if isinstance(rule, bool):
        return rule
    try:
        given = copy.deepcopy(arguments)
        answer: Any = rule(given, context) if takes_context(rule) else rule(given)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            return True
        return bool(answer)
    except (Exception, SystemExit):  # noqa: BLE001  # the tool author's code: a rule that cannot be asked protects by asking
        return True


def takes_context(rule: Any) -> bool:
    """Return whether a confirmation rule takes the context besides the arguments: it needs two, or its second is named or typed so."""
    try:
        parameters = inspect.signature(rule).parameters.values()
    except (ValueError, TypeError):
        return False
    beside = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][1:2]
    return any(p.default is p.empty or p.name == "context" or is_context(p.name, p.annotation) for p in beside)


def _read(raw: Any, limits: JsonLimits) -> tuple[dict[str, Any], bool]:
    """The object, and whether it was itself quoted as a JSON string (a habit of some models)."""
    if raw is None:
        return {}, False
    if isinstance(raw, str):
        text = raw.strip(" \t\n\r")
        value: Any = parse_json(text, limits) if text else {}
        was_quoted = isinstance(value, str) and value.lstrip(" \t\n\r").startswith("{")
        if was_quoted:
            value = parse_json(value, limits)
    elif isinstance(raw, dict):
        value, was_quoted = plain_json(raw, limits), False
    else:
        raise NotJson(f"the arguments are of type {type(raw).__name__}; they must be one JSON object")
    if not isinstance(value, dict):
        raise NotJson(f"the arguments are {_kind(value)}; they must be one JSON object")
    return value, was_quoted


def _repaired(tool: Tool, arguments: dict[str, Any], encoded: bytes, limits: JsonLimits) -> dict[str, Any] | None:
    repaired = tool.checker.repair(arguments, encoded)
    if repaired is not None:
        return repaired
    unquoted = {key: _unquoted(tool, key, value, limits) for key, value in arguments.items()}
    if unquoted == arguments:
        return None
    encoded = encode_json(unquoted)
    return unquoted if not tool.checker.check(unquoted, encoded) else tool.checker.repair(unquoted, encoded)


def _unquoted(tool: Tool, key: str, value: Any, limits: JsonLimits) -> Any:
    """The list or object that a text holds, where no text is wanted."""
    schema = tool.parameters.get("properties", {}).get(key)
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")) or "string" in _types(schema):
        return value
    try:
        return parse_json(value, limits)
    except NotJson:
        return value


def _types(schema: Any) -> set[str]:
    """The JSON types that a schema names, as far as that is seen at once."""
    if not isinstance(schema, dict):
        return set()
    own = schema.get("type")
    types = {own} if isinstance(own, str) else set(own) if isinstance(own, list) else set()
    return types.union(*(_types(option) for option in schema.get("anyOf", ())))


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}.get(type(value), "null")


def _invalid(tool: Tool, complaints: list[str]) -> ToolArgumentsInvalid:
    schema = json.dumps(tool.parameters, ensure_ascii=False, separators=(",", ":"))
    if len(schema) > MAX_SCHEMA_CHARS:
        schema = schema[:MAX_SCHEMA_CHARS] + "…"
    said = _clean("; ".join(complaints))
    return ToolArgumentsInvalid(f"the arguments for {tool.name!r} do not fit, and it was not started: {said}. The schema of its arguments: {schema}")


def _clean(text: str) -> str:
    """Text that can be stored: lone surrogates replaced."""
    return text.encode("utf-8", "replace").decode()
