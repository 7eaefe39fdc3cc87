import asyncio
import functools
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from agent.errors import ToolArgumentsInvalid, ToolFailed, ToolNotStarted, ToolTimeout
from agent.tools import invoke as invoke_module
from agent.tools.context import CancelToken, ToolContext, current_context
from agent.tools.invoke import clip, invoke
from agent.tools.registry import ToolRegistry
from agent.tools.threads import ToolThreads, tool_threads
from agent.tools.tool import Tool

SOON_S = 0.05
VAR: ContextVar[str] = ContextVar("VAR", default="unset")


def made(function: Callable[..., Any], **options: Any) -> Tool:
    return ToolRegistry().register(function, effect="read", **options)


async def run(tool: Tool, arguments: dict[str, Any] | None = None, context: ToolContext | None = None, timeout_s: float | None = None) -> Any:
    async with asyncio.timeout(20):
        return await invoke(tool, arguments or {}, context or ToolContext(), default_timeout_s=timeout_s)


async def test_an_async_tool_runs_here_and_a_plain_one_in_a_named_thread() -> None:
    async def here() -> str:
        return threading.current_thread().name

    def there() -> str:
        return threading.current_thread().name

    assert await run(made(here)) == threading.current_thread().name
    assert await run(made(here), timeout_s=5) == threading.current_thread().name
    assert (await run(made(there))).startswith("seasoned-tool-")


async def test_the_result_is_what_the_function_returned() -> None:
    thing = object()

    async def give() -> object:
        return thing

    assert await run(made(lambda: thing, name="plain")) is thing
    assert await run(made(give)) is thing
    assert await run(made(give), timeout_s=5) is thing


async def test_both_kinds_see_the_context_and_the_callers_variables() -> None:
    def plain(ctx: ToolContext) -> Any:
        return ctx, current_context(), VAR.get()

    async def awaited(ctx: ToolContext) -> Any:
        return ctx, current_context(), VAR.get()

    context = ToolContext(trace_id="t", call_id="c", uid="ada", idempotency_key="k", attempt=2, deps={"db": 1})
    VAR.set("set")

    for timeout_s in (None, 5.0):
        assert await run(made(plain), context=context, timeout_s=timeout_s) == (context, context, "set")
        assert await run(made(awaited), context=context, timeout_s=timeout_s) == (context, context, "set")
    assert current_context() is None
    assert "db" not in repr(context)


async def test_an_error_of_the_tool_comes_out_as_it_is() -> None:
    def plain() -> None:
        raise KeyError("k")

    async def awaited() -> None:
        raise KeyError("k")

    for tool in (made(plain), made(awaited)):
        for timeout_s in (None, 5.0):
            with pytest.raises(KeyError, match="k"):
                await run(tool, timeout_s=timeout_s)


async def test_arguments_that_do_not_fit_start_nothing() -> None:
    started = []

    def count(n: int) -> None:
        started.append(n)

    for arguments in ({}, {"n": "1"}, {"n": 1, "m": 2}, {"n": "\ud800"}):
        with pytest.raises(ToolArgumentsInvalid):
            await run(made(count), arguments)

    assert started == []


async def test_an_async_tool_that_is_too_slow_is_cancelled() -> None:
    ended = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    context = ToolContext()
    with pytest.raises(ToolTimeout, match=r"'slow' took longer than 0\.05 s"):
        await run(made(slow), context=context, timeout_s=SOON_S)

    assert ended.is_set()
    assert context.cancelled.is_set()


async def test_its_own_time_goes_before_the_default() -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ToolTimeout):
        await run(made(slow, timeout_s=SOON_S), timeout_s=1000)


async def test_a_plain_tool_that_is_too_slow_is_left_behind_and_told() -> None:
    told = threading.Event()

    def slow(ctx: ToolContext) -> None:
        if ctx.cancelled.block(10):
            told.set()

    with pytest.raises(ToolTimeout):
        await run(made(slow), timeout_s=SOON_S)

    assert await asyncio.to_thread(told.wait, 10)


async def test_a_tool_that_ignores_its_cancellation_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoke_module, "GRACE_S", SOON_S)
    go_on = asyncio.Event()

    async def stubborn() -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    with pytest.raises(ToolTimeout):
        await run(made(stubborn), timeout_s=SOON_S)

    (left,) = invoke_module._left_alone
    go_on.set()
    await asyncio.wait((left,), timeout=10)
    await asyncio.sleep(0)
    assert not invoke_module._left_alone


@pytest.mark.parametrize("timeout_s", [None, 100.0])
async def test_a_cancelled_caller_tells_the_tool(timeout_s: float | None) -> None:
    started = asyncio.Event()

    async def slow() -> None:
        started.set()
        await asyncio.Event().wait()

    context = ToolContext()
    task = asyncio.ensure_future(run(made(slow), context=context, timeout_s=timeout_s))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert context.cancelled.is_set()


async def test_a_cancelled_caller_tells_the_thread() -> None:
    started, told = threading.Event(), threading.Event()

    def slow(ctx: ToolContext) -> None:
        started.set()
        if ctx.cancelled.block(10):
            told.set()

    task = asyncio.ensure_future(run(made(slow)))
    assert await asyncio.to_thread(started.wait, 10)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(told.wait, 10)


async def test_a_tool_cannot_end_the_program_or_cancel_its_run() -> None:
    def leave() -> None:
        sys.exit(3)

    async def leave_async() -> None:
        sys.exit(3)

    async def cancel() -> None:
        raise asyncio.CancelledError

    def cancel_plain() -> None:
        raise asyncio.CancelledError

    def stop() -> None:
        next(iter(()))

    def interrupt() -> None:
        raise KeyboardInterrupt

    for function, part in (
        (leave, "exit code 3"),
        (leave_async, "exit code 3"),
        (cancel, "cancelled itself"),
        (cancel_plain, "cancelled itself"),
        (stop, "StopIteration"),
        (interrupt, "KeyboardInterrupt"),
    ):
        for timeout_s in (None, 5.0):
            with pytest.raises(ToolFailed, match=part):
                await run(made(function), timeout_s=timeout_s)


async def test_its_own_timeout_error_is_not_taken_for_ours() -> None:
    async def fail() -> None:
        raise TimeoutError("theirs")

    with pytest.raises(TimeoutError, match="theirs"):
        await run(made(fail), timeout_s=5)


async def test_a_plain_function_that_returns_an_awaitable_is_awaited_within_the_same_time() -> None:
    async def inner(forever: bool) -> str:
        if forever:
            await asyncio.Event().wait()
        return "done"

    def outer(forever: bool = False) -> Awaitable[str]:
        return inner(forever)

    assert await run(made(outer)) == "done"
    assert await run(made(outer), timeout_s=5) == "done"
    assert await run(made(functools.partial(inner, forever=False), name="partial")) == "done"
    with pytest.raises(ToolTimeout):
        await run(made(outer), {"forever": True}, timeout_s=SOON_S)


async def test_calls_run_at_the_same_time() -> None:
    barrier = threading.Barrier(8, timeout=10)

    def meet() -> int:
        return barrier.wait()

    tool = made(meet)

    assert sorted(await asyncio.gather(*(run(tool) for _ in range(8)))) == list(range(8))


# ---- threads


async def test_where_no_thread_is_free_in_time_nothing_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoke_module, "tool_threads", ToolThreads(1))
    busy, go_on, ran = threading.Event(), threading.Event(), []

    def hold() -> None:
        busy.set()
        go_on.wait(10)

    def quick() -> None:
        ran.append(1)

    first = asyncio.ensure_future(run(made(hold)))
    assert await asyncio.to_thread(busy.wait, 10)
    with pytest.raises(ToolNotStarted, match="no thread was free"):
        await run(made(quick), timeout_s=SOON_S)
    go_on.set()
    await first
    await run(made(lambda: None, name="last"))

    assert ran == []


async def test_threads_that_hang_do_not_use_up_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoke_module, "tool_threads", ToolThreads(2))
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(20)

    results = await asyncio.gather(*(run(made(hang), timeout_s=SOON_S) for _ in range(6)), return_exceptions=True)

    assert {type(result) for result in results} <= {ToolTimeout, ToolNotStarted}
    assert await run(made(lambda: 5, name="after")) == 5
    go_on.set()


async def test_idle_threads_are_used_again_and_end_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.tools.threads.IDLE_S", SOON_S)
    pool = ToolThreads(4)
    monkeypatch.setattr(invoke_module, "tool_threads", pool)
    tool = made(threading.current_thread, name="which")

    thread = await run(tool)
    assert await run(tool) is thread
    await asyncio.to_thread(thread.join, 10)

    assert not thread.is_alive()
    assert await run(tool) is not thread


def test_the_pool_outlives_a_loop() -> None:
    tool = made(lambda: 1, name="one")

    assert [asyncio.run(run(tool)) for _ in range(3)] == [1, 1, 1]
    assert tool_threads.max_threads == 64


async def test_many_calls_through_few_threads_all_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoke_module, "tool_threads", ToolThreads(3))

    def same(n: int) -> int:
        return n

    tool = made(same)

    assert await asyncio.gather(*(run(tool, {"n": n}) for n in range(500))) == list(range(500))


HANGS = """
import asyncio, threading
from agent.errors import ToolTimeout
from agent.tools import ToolRegistry
registry = ToolRegistry()

@registry.tool(effect="read")
def hang() -> None:
    threading.Event().wait()

try:
    asyncio.run(registry.execute("hang", None, timeout_s=0.05))
except ToolTimeout:
    print("over")
"""


def test_a_tool_that_hangs_does_not_keep_the_program_from_ending() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout == "over\n"


# ---- the cancel token


async def test_a_token_wakes_all_who_wait_from_any_thread() -> None:
    token = CancelToken()
    waiters = [asyncio.ensure_future(token.wait()) for _ in range(3)]
    given_up = asyncio.ensure_future(token.wait())
    await asyncio.sleep(0)
    given_up.cancel()
    threading.Thread(target=token.set).start()

    async with asyncio.timeout(10):
        await asyncio.gather(*waiters)
        await token.wait()
    token.set()
    assert token.is_set()
    assert token.block(0)
    assert given_up.cancelled() or given_up.cancelling()


def test_a_token_may_be_set_after_the_loop_that_waited_is_gone() -> None:
    token = CancelToken()

    async def wait_a_little() -> None:
        await asyncio.wait((asyncio.ensure_future(token.wait()),), timeout=0)

    asyncio.run(wait_a_little())
    token.set()

    assert token.is_set()
    assert not CancelToken().block(0)


def test_a_long_text_is_cut_in_the_middle_and_says_so() -> None:
    text = "a" * 60 + "b" * 40

    assert clip(text, None) == text
    assert clip(text, 100) == text
    assert clip(text, 8) == "aaaaaa\n[… 92 of 100 characters left out …]\nbb"
    assert clip(text, 1).endswith("left out …]\n" + "b")
