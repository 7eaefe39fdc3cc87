"""Tools that come with their own JSON schema (MCP, other programs): checked at registration, never fetched from afar."""

import copy
import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

from agent.errors import SchemaUnsupported, ToolArgumentsInvalid
from agent.tools.json_text import NotJson, encode_json, parse_json, plain_json
from agent.tools.tool import Complaints, shortened

MAX_COMPLAINTS = 10
_COMBINED = frozenset(
    {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "unevaluatedProperties", "additionalProperties", "dependentSchemas", "not"}
)


class GivenSchemaChecker:
    """Checks arguments against a given schema; see `ArgumentChecker`."""

    __slots__ = ("_dict_parameter", "_schema", "_validator")

    def __init__(self, schema: dict[str, Any], validator: Any, *, dict_parameter: str | None) -> None:
        self._schema, self._validator, self._dict_parameter = schema, validator, dict_parameter

    def check(self, arguments: dict[str, Any], encoded: bytes) -> Complaints:
        """Return what is wrong."""
        del encoded
        try:
            errors = list(_first(self._validator.iter_errors(arguments), MAX_COMPLAINTS))
        except Exception as error:  # noqa: BLE001  # a $ref that leads nowhere shows only here, under the library's own types
            return [f"the tool's schema cannot be applied: {error}"[:500]]
        return [_complaint(error) for error in errors]

    def repair(self, arguments: dict[str, Any], encoded: bytes) -> dict[str, Any] | None:
        """Return the arguments with top-level numbers and booleans read from text, where that makes them right."""
        properties = self._schema.get("properties", {})
        repaired = {key: _coerced(value, properties.get(key)) for key, value in arguments.items()}
        return None if self.check(repaired, encoded) else repaired

    def bind(self, arguments: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return a copy of the arguments, by name or as one dict, as the function takes them."""
        complaints = self.check(arguments, b"")
        if complaints:
            raise ToolArgumentsInvalid("; ".join(complaints))
        values = copy.deepcopy(arguments)
        if self._dict_parameter is None:
            return (), values
        return ((), {self._dict_parameter: values}) if self._dict_parameter else ((values,), {})


def build_given_checker(
    tool_name: str, schema: dict[str, Any], function: Callable[..., Any], context_parameter: str | None
) -> tuple[dict[str, Any], GivenSchemaChecker]:
    """Return a copy of `schema` as it is shown to the model, and what checks arguments against it.

    Where it says nothing about other properties, they are refused. `pattern` is applied in linear time; one that needs backtracking
    is not applied here (the tool's own check stands).

    Raises:
        SchemaUnsupported: no schema of an object, or no valid schema, or the function cannot take these properties.
    """
    own = _checked(tool_name, schema)
    draft = own.pop("$schema", None)
    if not own.keys() & _COMBINED:
        own["additionalProperties"] = False
    dict_parameter = _dict_parameter(tool_name, own, function, context_parameter)
    return own, GivenSchemaChecker(own, _validator(f"tool {tool_name!r}", own, draft), dict_parameter=dict_parameter)


def _checked(tool_name: str, schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise SchemaUnsupported(f"tool {tool_name!r}: the schema is of type {type(schema).__name__}; give the JSON schema of the parameters, an object")
    try:
        own: dict[str, Any] = plain_json(schema)
        encode_json(own)
    except NotJson as error:
        raise SchemaUnsupported(f"tool {tool_name!r}: the schema is not plain JSON: {error}") from None
    if own.setdefault("type", "object") != "object":
        raise SchemaUnsupported(f"tool {tool_name!r}: the schema describes {own['type']!r}; the parameters of a tool are an object")
    own.setdefault("properties", {})
    return own


def complaints_by_schema(what: str, schema: dict[str, Any]) -> Callable[[Any], Complaints]:
    """Return what tells what is wrong with a value by a schema of plain JSON; `what` it is for is named in errors.

    Raises:
        SchemaUnsupported: no valid schema, or one that refers to something outside of it.
    """
    validator = _validator(what, schema, schema.get("$schema"))

    def complaints(value: Any) -> Complaints:
        """Return what is wrong with a value."""
        return _complaints(validator, value)

    return complaints


def _complaints(validator: Any, value: Any) -> Complaints:
    try:
        errors = list(_first(validator.iter_errors(value), MAX_COMPLAINTS))
    except Exception as error:  # noqa: BLE001  # a $ref that leads nowhere shows only here, under the library's own types
        return [f"the schema cannot be applied: {error}"[:500]]
    return [_complaint(error) for error in errors]


def _validator(what: str, schema: dict[str, Any], draft: Any) -> Any:
    from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]  # it ships no types
    from jsonschema.validators import extend, validator_for  # type: ignore[import-untyped]  # as above
    from referencing import Registry
    from referencing.exceptions import NoSuchResource

    def refuse(uri: str) -> Any:
        raise NoSuchResource(ref=uri)  # type: ignore[call-arg]  # an attrs class whose fields mypy does not see here

    try:
        of_draft = validator_for({"$schema": draft} if isinstance(draft, str) else {}, default=Draft202012Validator)
        of_draft.check_schema(schema)
    except SchemaError as error:
        raise SchemaUnsupported(f"{what}: the schema is not valid: {error.message[:300]} at {error.json_path}") from None
    outside = next((ref for ref in _references(schema) if not ref.startswith("#")), None)
    if outside is not None:
        raise SchemaUnsupported(f"{what}: the schema refers to {outside!r}; nothing is fetched: put the definition under '$defs'")
    linear = extend(of_draft, {"pattern": _pattern, "patternProperties": _pattern_properties, "uniqueItems": _unique_items})
    registry: Any = Registry(retrieve=refuse)  # type: ignore[call-arg]  # its attrs field is not seen
    return linear(schema, registry=registry)


def _references(schema: Any) -> Iterator[str]:
    todo = [schema]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            reference = item.get("$ref")
            if isinstance(reference, str):
                yield reference
            todo += item.values()
        elif isinstance(item, list):
            todo += item


def _dict_parameter(tool_name: str, schema: dict[str, Any], function: Callable[..., Any], context_parameter: str | None) -> str | None:
    """The parameter that takes all arguments as one dict ("": the first position); None where they are passed by name."""
    try:
        parameters = [p for p in inspect.signature(function).parameters.values() if p.name != context_parameter]
    except (ValueError, TypeError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    names = set(schema["properties"])
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    unknown = sorted(names - by_name) + sorted(p.name for p in required if p.name not in names)
    if not unknown:
        return None
    first = parameters[0] if parameters else None
    if first is None or first.name in names or first.kind is first.KEYWORD_ONLY or any(p is not first for p in required):
        raise SchemaUnsupported(
            f"tool {tool_name!r}: schema and function do not agree on {', '.join(unknown)}: let the function take them by name, or **arguments, or one dict"
        )
    return first.name if first.kind is first.POSITIONAL_OR_KEYWORD else ""


def _first(items: Iterator[Any], count: int) -> Iterator[Any]:
    for _, item in zip(range(count), items, strict=False):
        yield item


def _complaint(error: Any) -> str:
    where = error.json_path.removeprefix("$").lstrip(".")
    message = shortened(error.message, 300)
    return f"{where!r}: {message}" if where else message


def _coerced(value: Any, schema: Any) -> Any:
    if not isinstance(schema, dict):
        return value
    wanted = schema.get("type")
    if wanted == "string" or not isinstance(value, str):
        return value
    if wanted == "boolean":
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    if wanted in ("integer", "number"):
        return _number(value, is_integer=wanted == "integer")
    return value


def _number(text: str, *, is_integer: bool) -> Any:
    try:
        found = parse_json(text)
    except NotJson:
        return text
    if type(found) is int or (type(found) is float and not is_integer):
        return found
    return text


# ---- keywords whose cost a stranger's schema could choose


def _matches(pattern: str, text: str) -> bool:
    from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")).validate_python(text)
    except ValidationError:
        return False
    except SchemaError:  # needs backtracking: not applied
        return True
    return True


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    del validator, schema
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield _error(f"{instance[:80]!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: dict[str, Any], instance: Any, schema: Any) -> Iterator[Any]:
    del schema
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        for key, value in instance.items():
            if _matches(pattern, key):
                yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _unique_items(validator: Any, is_unique: bool, instance: Any, schema: Any) -> Iterator[Any]:  # noqa: FBT001  # the library calls it so
    del validator, schema
    if is_unique and isinstance(instance, list) and len({json.dumps(item, sort_keys=True) for item in instance}) < len(instance):
        yield _error("an item is given twice")


def _error(message: str) -> Any:
    from jsonschema import ValidationError

    return ValidationError(message)
