import functools
import operator
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import pytest

from agent.errors import SchemaUnsupported
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool


def made(function: Callable[..., Any], **options: Any) -> Tool:
    return ToolRegistry().register(function, effect="read", **options)


def test_the_context_is_left_out_wherever_it_stands() -> None:
    def first(ctx: ToolContext, a: int) -> None: ...
    def last(a: int, *, where: ToolContext | None = None) -> None: ...
    def annotated(a: int, it: Annotated[ToolContext, "x"]) -> None: ...
    def postponed(a: int, ctx: "ToolContext") -> None: ...
    def untyped(ctx, a: int) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    for function, parameter in ((first, "ctx"), (last, "where"), (annotated, "it"), (postponed, "ctx"), (untyped, "ctx")):
        tool = made(function)

        assert list(tool.parameters["properties"]) == ["a"]
        assert tool.context_parameter == parameter


class Counter:
    """Counts."""

    def __init__(self) -> None:
        self.n = 0

    def add(self, by: int = 1) -> int:
        """Add to the count."""
        self.n += by
        return self.n

    @classmethod
    def kind(cls, a: int) -> str:
        return f"{cls.__name__}{a}"

    @staticmethod
    def twice(a: int) -> int:
        return 2 * a

    def __call__(self, start: int) -> int:
        self.n = start
        return start


async def test_methods_partials_callable_objects_and_lambdas_are_tools() -> None:
    registry, counter = ToolRegistry(), Counter()

    def tell(secret: str, text: str, *, times: int = 1) -> str:
        """Tell."""
        return f"{secret} {text * times}"

    registry.register(counter.add, effect="unsafe")
    registry.register(Counter.kind, effect="read")
    registry.register(Counter.twice, effect="read")
    registry.register(counter, effect="unsafe", name="reset")
    registry.register(functools.partial(tell, secret="s", times=2), effect="read")
    registry.register(functools.partial(tell, "t"), effect="read", name="tell_t")
    registry.register(lambda a: a, effect="read", name="same")

    assert await registry.execute("add", {"by": 2}) == "2"
    assert await registry.execute("kind", {"a": 1}) == "Counter1"
    assert await registry.execute("twice", {"a": 2}) == "4"
    assert await registry.execute("reset", {"start": 7}) == "7"
    assert await registry.execute("tell", {"text": "x"}) == "s xx"
    assert await registry.execute("tell_t", {"text": "x"}) == "t x"
    assert await registry.execute("same", {"a": [1]}) == "[1]"
    assert registry.get("add").description == "Add to the count."
    assert registry.get("reset").description == "Counts."
    assert list(registry.get("tell").parameters["properties"]) == ["text"]  # what was bound is not the model's to change


def generator(a: int) -> Iterator[int]:
    yield a


async def async_generator(a: int) -> AsyncIterator[int]:
    yield a


def stars(*values: int) -> None: ...
def keywords(**values: int) -> None: ...
def by_position(a: int, /) -> None: ...
def unknown_type(a: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def callback(a: Callable[[], None]) -> None: ...
def strange(a: operator.itemgetter) -> None: ...  # type: ignore[type-arg]
def bad_hint(a: Any) -> None: ...


bad_hint.__annotations__["a"] = "1 +"


def two_contexts(a: ToolContext, b: ToolContext) -> None: ...


@pytest.mark.parametrize(
    ("function", "part"),
    [
        (stars, r"\*values"),
        (keywords, r"\*\*values"),
        (by_position, "by position only"),
        (unknown_type, "'Missing'"),
        (callback, "'a'"),
        (strange, "'a'"),
        (two_contexts, "twice"),
        (bad_hint, "cannot be read"),
        (dict.fromkeys, "by position only|no signature"),
        (iter, "no signature"),
        (generator, "in pieces"),
        (async_generator, "in pieces"),
        (Counter, "is a class"),
        (int.bit_length, "by position only"),
        (5, "cannot be called"),
    ],
)
def test_what_gives_no_schema_is_refused_with_its_reason(function: Any, part: str) -> None:
    with pytest.raises(SchemaUnsupported, match=part):
        made(function)
