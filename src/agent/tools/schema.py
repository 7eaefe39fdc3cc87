"""From a signature to a JSON schema and a checker of arguments, through pydantic (imported on first use)."""

from typing import Annotated, Any, NotRequired, Required, get_args, get_origin

import msgspec

from agent.errors import SchemaUnsupported, ToolArgumentsInvalid
from agent.tools.docstrings import Documentation
from agent.tools.json_text import NotJson, encode_json
from agent.tools.signature import Parameter, Signature
from agent.tools.tidy import tidy
from agent.tools.tool import ArgumentChecker, Complaints, shortened
from agent.tools.typed_dicts import portable

MAX_COMPLAINTS = 10


def build_checker(tool_name: str, signature: Signature, documentation: Documentation) -> tuple[dict[str, Any], ArgumentChecker]:
    """Return the schema of the parameters, and what checks arguments against them.

    Raises:
        SchemaUnsupported: a parameter's type has no JSON form.
    """
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    fields = {p.name: _field(p, documentation.parameters.get(p.name)) for p in signature.parameters}
    try:
        adapter = TypeAdapter(_record(fields))
        raw_schema = adapter.json_schema(schema_generator=quiet_generator())
    except (PydanticUserError, TypeError, NameError) as error:
        culprit = next((p for p in signature.parameters if not _has_schema(p.annotation)), None)
        where = "a parameter" if culprit is None else f"{culprit.name!r} ({culprit.annotation!r})"
        reason = str(error).strip().partition("\n")[0]
        raise SchemaUnsupported(f"tool {tool_name!r}: the type of {where} has no JSON form: {reason}") from error
    schema, is_closed = tidy(raw_schema)
    return schema, SignatureChecker(adapter, is_closed=is_closed)


class SignatureChecker:
    """Checks arguments against a signature; see `ArgumentChecker`."""

    __slots__ = ("_adapter", "_extra", "_validate")

    def __init__(self, adapter: Any, *, is_closed: bool) -> None:
        self._adapter, self._validate = adapter, adapter.validator.validate_json
        # a model that asks for extra keys gets them; else none may have any
        self._extra = "forbid" if is_closed else None

    def check(self, arguments: dict[str, Any], encoded: bytes) -> Complaints:
        """Return what is wrong, strictly."""
        try:
            self._validate(encoded, strict=True, extra=self._extra)
        except Exception as error:  # noqa: BLE001  # validators are the tool author's code: whatever they raise is told to the model
            return complaints_of(error)
        return []

    def repair(self, arguments: dict[str, Any], encoded: bytes) -> dict[str, Any] | None:
        """Return what pydantic's lax mode makes of them, where that is strictly right in its turn."""
        try:
            value = self._validate(encoded, strict=False, extra=self._extra)
            repaired: dict[str, Any] = msgspec.json.decode(self._adapter.dump_json(value, by_alias=True, exclude_unset=True, warnings="none"))
            self._validate(encode_json(repaired), strict=True, extra=self._extra)
        except Exception:  # noqa: BLE001  # as above: no repair, the strict complaints stand
            return None
        return repaired

    def bind(self, arguments: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the typed values by name."""
        try:
            return (), self._validate(encode_json(arguments), strict=True, extra=self._extra)
        except NotJson as error:
            raise ToolArgumentsInvalid(str(error)) from None
        except Exception as error:  # noqa: BLE001  # as above
            raise ToolArgumentsInvalid("; ".join(complaints_of(error))) from None


def complaints_of(error: Exception) -> Complaints:
    """Return what a validation found wrong; any other error by its name."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return [f"{type(error).__name__}: {error}"[:500]]
    found = error.errors(include_url=False, include_context=False)
    lines = [_complaint(item) for item in found[:MAX_COMPLAINTS]]
    return lines if len(found) <= MAX_COMPLAINTS else [*lines, f"and {len(found) - MAX_COMPLAINTS} more"]


def _complaint(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        return f"{where!r} is required"
    if item["type"] == "extra_forbidden":
        return f"{where!r} is not a parameter"
    return f"{where!r}: {item['msg']} (got {shortened(repr(item['input']), 80)})"


def _field(parameter: Parameter, description: str | None) -> Any:
    """The parameter as the type of a TypedDict's key; what its own Field(...) says wins over the docstring."""
    from pydantic import Field
    from pydantic.fields import FieldInfo

    base, metadata = portable(parameter.annotation), []
    if get_origin(base) is Annotated:
        base, *metadata = get_args(base)
    if isinstance(parameter.default, FieldInfo):
        metadata = [*metadata, parameter.default]
    extra = {} if parameter.is_required else _default(parameter.default)
    typed: Any = Annotated.__class_getitem__((base, Field(description=description or None, json_schema_extra=extra or None), *metadata))  # type: ignore[attr-defined]  # a type made while the program runs
    is_optional = not parameter.is_required and not isinstance(parameter.default, FieldInfo)
    return NotRequired[typed] if is_optional else Required[typed]


def _default(default: Any) -> dict[str, Any]:
    """The default for the schema; none where it has no JSON form, or is None (not being required says as much)."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        plain = to_jsonable_python(default)
        encode_json(plain)
    except (PydanticSerializationError, ValueError, RecursionError):
        return {}
    return {} if plain is None else {"default": plain}


def _record(fields: dict[str, Any]) -> Any:
    from pydantic import ConfigDict, with_config
    from typing_extensions import TypedDict

    make: Any = TypedDict  # the keys are only known now: nothing for a type checker
    return with_config(ConfigDict(extra="forbid"))(make("Arguments", fields))


def quiet_generator() -> Any:
    """Return what makes JSON schemas without warning of what they cannot say."""
    from pydantic.json_schema import GenerateJsonSchema

    class Quiet(GenerateJsonSchema):
        """Says nothing."""

        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # pydantic's own declaration

    return Quiet


def _has_schema(annotation: Any) -> bool:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        TypeAdapter(annotation).json_schema(schema_generator=quiet_generator())
    except (PydanticUserError, TypeError, NameError):
        return False
    return True
