"""What a function takes: its parameters with resolved types, its name, and which parameter is for the context."""

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from agent.errors import SchemaUnsupported
from agent.models.value import Value
from agent.tools.context import ToolContext

_OWN_ROOM = __name__.rpartition(".")[0]


class Parameter(Value, frozen=True):
    """One parameter that the model fills in."""

    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty

    @property
    def is_required(self) -> bool:
        """Whether it has no default of its own."""
        return self.default is inspect.Parameter.empty


class Signature(Value, frozen=True):
    """A function, as a tool."""

    name: str  # may be one that no provider accepts, such as that of a lambda
    doc: str | None
    parameters: tuple[Parameter, ...]
    context_parameter: str | None
    is_async: bool


def read_signature(function: Callable[..., Any]) -> Signature:
    """Return what `function` takes. What a partial has bound by name is left out: the model must not change it.

    Raises:
        SchemaUnsupported: `*args`, `**kwargs`, positional-only, a type that cannot be resolved, a class, a generator.
    """
    core = _core(function)
    name = _name(function, core)
    _refuse_odd_kinds(function, core, name)
    hints = _hints(core, name)
    bound = _bound_names(function)
    parameters, context_parameter = [], None
    for parameter in _inspected(function, name).parameters.values():
        if parameter.name in bound:
            continue
        annotation = hints.get(parameter.name, parameter.annotation)
        if is_context(parameter.name, annotation):
            if context_parameter is not None:
                raise SchemaUnsupported(f"tool {name!r} takes the context twice, as {context_parameter!r} and {parameter.name!r}: keep one")
            context_parameter = parameter.name
        _refuse_kind(parameter, name)
        if parameter.name != context_parameter:
            parameters.append(_parameter(parameter, annotation))
    return Signature(name, _doc(function, core), tuple(parameters), context_parameter, _is_async(core))


def context_parameter_of(function: Callable[..., Any]) -> str | None:
    """Return which parameter of any callable is for the context; nothing else of its signature need be understood."""
    core = _core(function)
    try:
        hints = _hints(core, "")
        parameters = inspect.signature(function).parameters.values()
    except (SchemaUnsupported, ValueError, TypeError):
        return None
    return next((p.name for p in parameters if is_context(p.name, hints.get(p.name, p.annotation))), None)


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether calling `function` gives a coroutine."""
    return _is_async(_core(function))


def is_context(name: str, annotation: Any) -> bool:
    """Return whether a parameter takes the context: by its type, or by the name `ctx` where it has no type."""
    if annotation is inspect.Parameter.empty:
        return name == "ctx"
    if get_origin(annotation) is Annotated:
        return is_context(name, get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return any(is_context("", item) for item in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, ToolContext)


def _core(function: Callable[..., Any]) -> Any:
    """The function that carries annotations and docstring, below partials, methods and callable objects."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def _name(function: Callable[..., Any], core: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or inspect.isclass(function):
        return str(core.__name__)
    return type(function).__name__


def _doc(function: Callable[..., Any], core: Any) -> str | None:
    while isinstance(function, functools.partial):
        function = function.func
    own: str | None = core.__doc__
    return own or (None if core is function else type(function).__doc__)


def _refuse_odd_kinds(function: Any, core: Any, name: str) -> None:
    if not callable(function):
        raise SchemaUnsupported(f"{function!r} cannot be called: register a function")
    if inspect.isclass(core):
        raise SchemaUnsupported(f"{name!r} is a class: register a function or a method")
    if inspect.isgeneratorfunction(core) or inspect.isasyncgenfunction(core):
        raise SchemaUnsupported(f"tool {name!r} yields its result in pieces: return it whole")


def _inspected(function: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        raise SchemaUnsupported(
            f"tool {name!r} has no signature that Python can read: wrap it in a function with type hints, or use add() with a schema"
        ) from None


def _refuse_kind(parameter: inspect.Parameter, name: str) -> None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise SchemaUnsupported(f"tool {name!r} takes {stars}{parameter.name}: name each parameter, or use add() with a schema")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise SchemaUnsupported(f"tool {name!r} takes {parameter.name!r} by position only: models pass arguments by name, so remove the '/'")


def _parameter(parameter: inspect.Parameter, annotation: Any) -> Parameter:
    if annotation is inspect.Parameter.empty:
        annotation = Any
    if parameter.default is None and annotation is not Any:
        annotation = annotation | None if isinstance(annotation, type | types.UnionType) else _optional(annotation)
    return Parameter(parameter.name, annotation, parameter.default)


def _optional(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        base, *metadata = get_args(annotation)
        return Annotated[(base | None if isinstance(base, type) else Union[base, None], *metadata)]  # noqa: UP007  # `base` may be a special form
    return Union[annotation, None]  # noqa: UP007  # special forms know no `|` in 3.11


def _bound_names(function: Callable[..., Any]) -> set[str]:
    names: set[str] = set()
    while isinstance(function, functools.partial):
        names |= set(function.keywords)
        function = function.func
    return names


def _hints(core: Any, name: str) -> dict[str, Any]:
    try:
        try:
            return get_type_hints(core, include_extras=True)
        except NameError:  # a local class, or the context imported for type checkers only
            return get_type_hints(core, localns={"ToolContext": ToolContext, **_callers_names()}, include_extras=True)
    except NameError as error:
        raise SchemaUnsupported(
            f"tool {name!r} has a type hint that names {error.name!r}, unknown where the function is defined: import it there, not only under TYPE_CHECKING"
        ) from None
    except (TypeError, SyntaxError, AttributeError) as error:
        raise SchemaUnsupported(f"tool {name!r} has a type hint that cannot be read: {error}") from None


def _callers_names() -> dict[str, Any]:
    """The local names where the tool is being registered: postponed hints may use them."""
    frame = sys._getframe(1)  # noqa: SLF001  # pydantic resolves postponed hints in the same way
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith(_OWN_ROOM):
        back = frame.f_back
        if back is None:
            return {}
        frame = back
    return dict(frame.f_locals) if frame.f_locals is not frame.f_globals else {}


def _is_async(core: Any) -> bool:
    return inspect.iscoroutinefunction(core)
