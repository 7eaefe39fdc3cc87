"""Small schemas: no titles, definitions put where they are used, objects closed."""

from collections.abc import Callable
from typing import Any, TypeAlias

MAX_NODES = 2_000  # a schema that grows beyond this by putting definitions in place keeps its `$defs`

_MAPS = frozenset({"properties", "$defs", "patternProperties", "dependentSchemas"})
_LISTS = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_SINGLES = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedProperties", "unevaluatedItems"})

Schema: TypeAlias = dict[str, Any]


class _TooLarge(Exception):
    pass


def tidy(schema: Schema) -> tuple[Schema, bool]:
    """Return the schema in its small form, and whether no object in it takes keys beyond its properties.

    Where one does (a model that allows extra keys), open objects stay as they are, because the check is then as lenient.
    """
    is_closed = not _any_open(schema)
    slim = _without_titles(schema)
    definitions = slim.pop("$defs", {})
    try:
        result = _Inliner(definitions).put(slim)
        kept = _named(result)
    except _TooLarge:
        result, kept = slim, set(definitions)
    if kept:
        result = {**result, "$defs": {name: definitions[name] for name in definitions if name in _reachable(kept, definitions)}}
    return (_close(result) if is_closed else result), is_closed


def _map(schema: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of `schema` with `change` made to each schema directly inside."""
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            result[key] = {name: change(item) for name, item in value.items()}
        elif key in _LISTS and isinstance(value, list):
            result[key] = [change(item) for item in value]
        elif key in _SINGLES:
            result[key] = change(value)
        else:
            result[key] = value
    return result


def _without_titles(schema: Any) -> Any:
    result = _map(schema, _without_titles)
    if isinstance(result, dict):
        result.pop("title", None)
        result.pop("discriminator", None)  # OpenAPI's, not JSON Schema's; it names definitions that are put in place
    return result


def _close(schema: Any) -> Any:
    result = _map(schema, _close)
    if isinstance(result, dict) and "properties" in result:
        result.setdefault("additionalProperties", False)
    return result


def _any_open(schema: Any) -> bool:
    found = False

    def look(item: Any) -> Any:
        nonlocal found
        found = found or (isinstance(item, dict) and "properties" in item and item.get("additionalProperties", False) is not False)
        return _map(item, look)

    look(schema)
    return found


def _target(schema: Any) -> str | None:
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    return reference.removeprefix("#/$defs/") if isinstance(reference, str) and reference.startswith("#/$defs/") else None


class _Inliner:
    def __init__(self, definitions: dict[str, Schema]) -> None:
        self.definitions, self.nodes = definitions, 0
        self.recursive = {name for name in definitions if name in _reachable(_named(definitions[name]), definitions)}

    def put(self, schema: Any) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _TooLarge
        name = _target(schema)
        if name is None or name in self.recursive or name not in self.definitions:
            return _map(schema, self.put)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return {**self.put(self.definitions[name]), **beside}


def _named(schema: Any) -> set[str]:
    """The definitions that `schema` itself refers to."""
    names: set[str] = set()

    def look(item: Any) -> Any:
        name = _target(item)
        if name is not None:
            names.add(name)
        return _map(item, look)

    look(schema)
    return names


def _reachable(names: set[str], definitions: dict[str, Schema]) -> set[str]:
    found: set[str] = set()
    todo = [name for name in names if name in definitions]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [other for other in _named(definitions[name]) if other in definitions]
    return found
