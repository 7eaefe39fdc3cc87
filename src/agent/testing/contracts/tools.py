"""The contract of a tool: what it declares holds. One test for each promise.

To check a tool of your own, inherit the class and give it a fixture named `case` (pytest with pytest-asyncio in auto mode):

    class TestPay(ToolContract):
        @pytest.fixture
        def case(self):
            return ToolCase(registry, "pay", {"to": "ada", "amount": 5}, observe=lambda: list(bank.transfers))
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agent.engine.shop import BoundState
from agent.errors import ToolArgumentsInvalid
from agent.storage.ram.states import RamStateStore
from agent.tools.arguments import parse_arguments
from agent.tools.context import ToolContext
from agent.tools.invoke import invoke, is_at_work, to_text
from agent.tools.probing import ask_probe
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool


@dataclass
class ToolCase:
    """A tool, arguments that it takes, and how to look at what it changes."""

    registry: ToolRegistry
    name: str
    arguments: Mapping[str, Any]
    observe: Callable[[], Any]  # what the tool changes outside of its state store, as a value that compares
    slow_arguments: Mapping[str, Any] | None = None  # with which it takes long: it is then to end soon when it is cancelled
    ends_within_s: float = 2.0
    deps: Any = None

    @property
    def tool(self) -> Tool:
        """The tool as it is registered."""
        return self.registry.get(self.name)

    def context(self, key: str = "trace/1.0", attempt: int = 1) -> ToolContext:
        """Return a call's context; state goes to a store of its own."""
        return ToolContext(idempotency_key=key, attempt=attempt, state=BoundState(RamStateStore(), "contract"), deps=self.deps, uid="contract")

    async def call(self, context: ToolContext, arguments: Mapping[str, Any] | None = None) -> Any:
        """Run the tool once and return its result."""
        return await invoke(self.tool, dict(arguments if arguments is not None else self.arguments), context, default_timeout_s=60.0)


class ToolContract:
    """Inherit it, and add the fixture `case`, fresh for each test."""

    async def test_its_arguments_survive_the_way_through_json(self, case: ToolCase) -> None:
        """What the schema takes, the function is called with; what it does not know is refused before anything runs."""
        before = case.observe()
        parsed = parse_arguments(case.tool, json.dumps(dict(case.arguments)))

        assert parsed.arguments == dict(case.arguments)
        assert not parsed.was_repaired
        with pytest.raises(ToolArgumentsInvalid):
            parse_arguments(case.tool, {**case.arguments, "no parameter is called so": 1})
        with pytest.raises(ToolArgumentsInvalid):
            parse_arguments(case.tool, "[1, 2]")
        assert case.observe() == before

    async def test_its_result_is_text_or_becomes_it(self, case: ToolCase) -> None:
        """The model is told text; what is no text must be JSON, or say something in words."""
        told = to_text(await case.call(case.context()))

        assert isinstance(told, str)
        assert " object at 0x" not in told, f"the model would be told {told!r}: return text, or what JSON holds"

    async def test_what_it_declares_holds_when_it_is_called_again(self, case: ToolCase) -> None:
        """`read` and `transactional` change nothing outside; `idempotent` changes it once for each key."""
        before = case.observe()
        first = await case.call(case.context())
        after = case.observe()
        if case.tool.effect == "unsafe":
            assert after != before, "it is declared unsafe, and changes nothing that `observe` sees: declare it read, or look closer"
            return
        second = await case.call(case.context(attempt=2))

        assert case.observe() == after, f"it is declared {case.tool.effect}, and the same call again had another effect"
        if case.tool.effect in ("read", "transactional"):
            assert after == before, f"it is declared {case.tool.effect}, and changed what `observe` sees"
        if case.tool.effect == "idempotent":
            assert to_text(second) == to_text(first), "the second attempt tells the model something else"

    async def test_its_probe_knows_what_it_did(self, case: ToolCase) -> None:
        """A probe says "not done" of a key that was never used, and "done" of one that was."""
        if case.tool.probe is None:
            return
        key, never = case.context("trace/2.0"), case.context("trace/3.0")
        await case.call(key)
        findings = [await ask_probe(case.tool, context, dict(case.arguments), timeout_s=10.0) for context in (key, never)]

        said = [finding.kind for finding in findings]
        assert said == ["done", "not_done"], f"of a key that was used and one that was not the probe says {said}, not done and not_done"

    async def test_it_ends_soon_when_it_is_cancelled(self, case: ToolCase) -> None:
        """A tool that takes long looks at `ctx.cancelled`, or is async and does not swallow its cancellation."""
        task = asyncio.ensure_future(case.call(context := case.context(), case.slow_arguments if case.slow_arguments is not None else case.arguments))
        await asyncio.sleep(0.05)
        context.cancelled.set()
        task.cancel()
        ends_at = time.monotonic() + case.ends_within_s
        await asyncio.wait((task,), timeout=case.ends_within_s)
        while is_at_work(context.idempotency_key) and time.monotonic() < ends_at:  # noqa: ASYNC110  # its thread, which sets no event of ours
            await asyncio.sleep(0.01)

        assert task.done(), f"it is still at work {case.ends_within_s} s after it was cancelled"
        assert not is_at_work(context.idempotency_key), f"its thread is still at work {case.ends_within_s} s after it was cancelled"
