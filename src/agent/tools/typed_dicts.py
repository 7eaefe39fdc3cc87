"""`typing.TypedDict` before Python 3.12 lacks what pydantic needs: the same record, made anew from `typing_extensions`."""

import sys
import types
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict


def portable(annotation: Any) -> Any:
    """Return `annotation` with each `typing.TypedDict` in it as one that pydantic accepts; the values are plain dicts all the same."""
    return annotation if sys.version_info >= (3, 12) else _replaced(annotation, {})


def _replaced(annotation: Any, made: dict[Any, Any]) -> Any:
    if is_typeddict(annotation):
        return annotation if type(annotation).__module__ != "typing" else _record(annotation, made)
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is None or origin is Literal or not inside:
        return annotation
    if origin is Annotated:
        return Annotated.__class_getitem__((_replaced(inside[0], made), *inside[1:]))
    items = tuple(_replaced(item, made) for item in inside)
    if items == inside:
        return annotation
    if origin in (Union, types.UnionType):
        return Union[items]  # noqa: UP007  # made while the program runs
    return origin[items]


def _record(record: Any, made: dict[Any, Any]) -> Any:
    from typing_extensions import TypedDict

    if record not in made:
        made[record] = record  # one that contains itself stays as it is inside, and pydantic says so
        hints = get_type_hints(record, include_extras=True)
        fields = {
            key: _replaced(hint, made) if get_origin(hint) in (Required, NotRequired) else _marked(record, key, _replaced(hint, made))
            for key, hint in hints.items()
        }
        make: Any = TypedDict
        made[record] = make(record.__name__, fields)
        made[record].__doc__ = record.__doc__
    return made[record]


def _marked(record: Any, key: str, hint: Any) -> Any:
    return Required[hint] if key in record.__required_keys__ else NotRequired[hint]
