"""The contract of tools: honest ones pass it, and each lie is found."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent.testing.contracts.tools import ToolCase, ToolContract
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

world: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    world.clear()


def case_of(effect: Any, function: Callable[..., Any], **options: Any) -> ToolCase:
    registry = ToolRegistry()
    registry.register(function, name="tool", effect=effect, **options)
    return ToolCase(registry, "tool", {"n": 1}, observe=lambda: list(world), ends_within_s=0.5)


async def look(n: int) -> str:
    "Look."
    return f"seen {n}"


async def put(ctx: ToolContext, n: int) -> dict[str, Any]:
    "Put once for each key."
    if ctx.idempotency_key not in world:
        world.append(ctx.idempotency_key)
    return {"n": n}


async def pay(ctx: ToolContext, n: int) -> str:
    "Pay."
    world.append(ctx.idempotency_key)
    return "paid"


async def count(ctx: ToolContext, n: int) -> str:
    "Count."
    await ctx.state.set("counter", n)
    return "counted"


def wait(ctx: ToolContext, n: int) -> str:
    "Wait in a thread, with an eye on the token."
    return "stopped" if ctx.cancelled.block(0.2) else "waited"


class TestRead(ToolContract):
    @pytest.fixture
    def case(self) -> ToolCase:
        return case_of("read", look)


class TestIdempotent(ToolContract):
    @pytest.fixture
    def case(self) -> ToolCase:
        return case_of("idempotent", put)


class TestUnsafe(ToolContract):
    @pytest.fixture
    def case(self) -> ToolCase:
        return case_of("unsafe", pay, probe=lambda key: key in world)


class TestTransactional(ToolContract):
    @pytest.fixture
    def case(self) -> ToolCase:
        return case_of("transactional", count)


class TestThread(ToolContract):
    @pytest.fixture
    def case(self) -> ToolCase:
        return case_of("read", wait)


RELEASED = threading.Event()


def deaf(n: int) -> str:
    "Wait for ever."
    RELEASED.wait(5)
    return "x"


async def swallows(n: int) -> str:
    "Swallow the cancellation."
    for _ in range(100):
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue
    return "x"


class Odd:
    """No JSON."""


async def odd(n: int) -> Any:
    "Return an object."
    return Odd()


@pytest.mark.parametrize(
    ("effect", "function", "options", "promise", "words"),
    [
        ("read", pay, {}, "test_what_it_declares_holds_when_it_is_called_again", "another effect"),
        ("idempotent", pay, {}, "test_what_it_declares_holds_when_it_is_called_again", "another effect"),
        ("transactional", put, {}, "test_what_it_declares_holds_when_it_is_called_again", "changed what"),
        ("unsafe", look, {}, "test_what_it_declares_holds_when_it_is_called_again", "declare it read"),
        ("unsafe", pay, {"probe": lambda key: True}, "test_its_probe_knows_what_it_did", "the probe says"),
        ("read", deaf, {}, "test_it_ends_soon_when_it_is_cancelled", "still at work"),
        ("read", swallows, {}, "test_it_ends_soon_when_it_is_cancelled", "still at work"),
        ("read", odd, {}, "test_its_result_is_text_or_becomes_it", "return text"),
    ],
)
async def test_a_tool_that_lies_is_found(effect: Any, function: Callable[..., Any], options: dict[str, Any], promise: str, words: str) -> None:
    case = case_of(effect, function, **options)
    RELEASED.clear()

    try:
        with pytest.raises(AssertionError, match=words):
            await getattr(ToolContract(), promise)(case)
    finally:
        RELEASED.set()
