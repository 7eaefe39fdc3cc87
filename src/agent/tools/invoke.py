"""One call of one tool: sync functions in threads, async ones here, each with its context, its time, and its end."""

import asyncio
import functools
import inspect
import json
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, NamedTuple

from agent.errors import ToolFailed, ToolNotStarted, ToolTimeout
from agent.tools.context import ToolContext, running
from agent.tools.processes import in_process
from agent.tools.result import readable
from agent.tools.threads import tool_threads
from agent.tools.tool import Tool

GRACE_S = 1.0  # how long a cancelled async tool may clean up before it is left to itself

_left_alone: dict[asyncio.Task[Any], str] = {}  # tools that ignored their cancellation, with the key of their call; kept, or they would be collected
_in_threads: set[str] = set()  # keys of the calls that have a thread, also of those that nobody waits for any more


class Interrupted(NamedTuple):
    """In place of a task's result: it was interrupted by the keyboard, or wanted to look so."""

    error: KeyboardInterrupt


async def invoke(tool: Tool, arguments: dict[str, Any], context: ToolContext, *, default_timeout_s: float | None) -> Any:
    """Return what the function returned, after running it once.

    The tool's own `timeout_s` goes before the default; None is no limit. On timeout, or when the caller is cancelled,
    `context.cancelled` is set: an async tool is cancelled too, a thread cannot be stopped and is left to itself.

    Raises:
        ToolArgumentsInvalid: the arguments do not fit; nothing was started.
        ToolNotStarted: its time was over before a thread was free; nothing was started.
        ToolTimeout: it took longer than it may.
        Exception: whatever the function raised.
    """
    positional, named = tool.checker.bind(arguments)
    if tool.context_parameter is not None:
        named[tool.context_parameter] = context
    call = functools.partial(tool.function, *positional, **named)
    timeout_s = tool.timeout_s if tool.timeout_s is not None else default_timeout_s
    token = running.set(context)
    try:
        if not tool.is_async:
            if tool.has_process:
                return await in_process(tool, arguments, context, timeout_s)
            return await _in_thread(tool, call, context, timeout_s, key=context.idempotency_key)
        if timeout_s is None:
            return await _directly(tool, call(), context)
        return await _within(tool, call(), context, timeout_s, timeout_s)
    finally:
        running.reset(token)


async def call_within(tool: Tool, call: Callable[[], Any], context: ToolContext, timeout_s: float, *, is_async: bool) -> Any:
    """Return what `call`, a function that belongs to the tool, returned; a plain one runs in a thread.

    Raises:
        ToolTimeout, ToolNotStarted: it took longer than `timeout_s`.
        Exception: whatever it raised.
    """
    if is_async:
        return await _within(tool, call(), context, timeout_s, timeout_s)
    return await _in_thread(tool, call, context, timeout_s, key="")


def is_at_work(idempotency_key: str) -> bool:
    """Return whether a call still runs in this process, although it was given up: in its thread, or as a task that ignored its end."""
    return idempotency_key in _in_threads or idempotency_key in _left_alone.values()


def to_text(result: Any) -> str:
    """Return a result as the model reads it: text as it is, None as nothing, all else as JSON. Never raises."""
    if isinstance(result, str):
        text = str.__str__(result)  # not a subclass's own
    elif result is None:
        return ""
    else:
        plain = readable(result)
        text = plain if isinstance(plain, str) else _dump(plain)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def clip(text: str, max_chars: int | None) -> str:
    """Return `text`, or its beginning and end with a line between them that says how much is left out."""
    if max_chars is None or len(text) <= max_chars:
        return text
    head = max_chars * 3 // 4
    tail = max_chars - head
    left_out = f"\n[… {len(text) - max_chars} of {len(text)} characters left out …]\n"
    return text[:head] + left_out + (text[-tail:] if tail else "")


def _dump(plain: Any) -> str:
    try:
        return json.dumps(plain, ensure_ascii=False)
    except (ValueError, RecursionError, TypeError) as error:
        return f"<a result of type {type(plain).__name__} that has no text: {type(error).__name__}>"


async def _directly(tool: Tool, awaitable: Awaitable[Any], context: ToolContext) -> Any:
    """Await in this very task: the quick way, where no time limit asks for more."""
    try:
        return await awaitable
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            context.cancelled.set()
            raise
        raise _gave_up(tool) from None
    except SystemExit as stop:
        raise _wanted_exit(tool, stop) from None


async def _within(tool: Tool, awaitable: Awaitable[Any], context: ToolContext, left_s: float, limit_s: float) -> Any:
    """Await in a task of its own, so that one that ignores its cancellation is left behind and not waited for."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(_shielded(tool, awaitable))
    ended: asyncio.Future[None] = loop.create_future()

    def end(_: Any = None) -> None:
        if not ended.done():
            ended.set_result(None)

    task.add_done_callback(end)
    timer = loop.call_later(left_s, end)
    try:
        await ended  # lighter than asyncio.wait, and bounded by the timer
    except asyncio.CancelledError:
        context.cancelled.set()
        await _stop(task, context)
        raise
    finally:
        timer.cancel()
    if task.done():
        if task.cancelled():
            raise _gave_up(tool)
        result = task.result()
        if isinstance(result, Interrupted):
            raise result.error
        return result
    context.cancelled.set()
    await _stop(task, context)
    raise _too_long(tool, limit_s)


async def _shielded(tool: Tool, awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except SystemExit as stop:  # would end the whole loop
        raise _wanted_exit(tool, stop) from None
    except KeyboardInterrupt as stop:  # a task that raises it breaks out of the loop: it is told to who waits for the tool
        return Interrupted(stop)


async def _stop(task: asyncio.Future[Any], context: ToolContext) -> None:
    task.cancel()
    await asyncio.wait((task,), timeout=GRACE_S)
    if task.done():
        if not task.cancelled():
            task.exception()  # seen: nobody is told of it any more
    elif isinstance(task, asyncio.Task):
        _left_alone[task] = context.idempotency_key
        task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    _left_alone.pop(task, None)
    if not task.cancelled():
        task.exception()


async def _in_thread(tool: Tool, call: Callable[[], Any], context: ToolContext, timeout_s: float | None, *, key: str) -> Any:
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    job = tool_threads.submit(functools.partial(copy_context().run, _guarded, tool, call, key), loop)
    try:
        await asyncio.wait((job.future,), timeout=timeout_s)
    except asyncio.CancelledError:
        context.cancelled.set()
        job.abandon()
        job.future.cancel()
        raise
    if not job.future.done():
        context.cancelled.set()
        has_started = job.abandon()
        job.future.cancel()
        if not has_started:
            raise ToolNotStarted(f"the tool {tool.name!r} was not started: no thread was free within {timeout_s:g} s")
        raise _too_long(tool, timeout_s)
    result = job.future.result()
    if not inspect.isawaitable(result):
        return result
    if timeout_s is None:
        return await _directly(tool, result, context)
    return await _within(tool, result, context, max(0.0, timeout_s - (loop.time() - started_at)), timeout_s)


def _guarded(tool: Tool, call: Callable[[], Any], key: str) -> Any:
    _in_threads.add(key)
    try:
        return call()
    except SystemExit as stop:
        raise _wanted_exit(tool, stop) from None
    except KeyboardInterrupt:  # Python raises it in the main thread only: this one is the tool's own
        raise ToolFailed(f"the tool {tool.name!r} raised KeyboardInterrupt") from None
    except StopIteration as stop:  # no future can carry one
        raise ToolFailed(f"the tool {tool.name!r} raised StopIteration: {stop}") from None
    except asyncio.CancelledError:
        raise _gave_up(tool) from None
    finally:
        _in_threads.discard(key)


def _too_long(tool: Tool, timeout_s: float | None) -> ToolTimeout:
    return ToolTimeout(f"the tool {tool.name!r} took longer than {timeout_s or 0:g} s")


def _wanted_exit(tool: Tool, stop: SystemExit) -> ToolFailed:
    return ToolFailed(f"the tool {tool.name!r} tried to end the program (exit code {stop.code!r})")


def _gave_up(tool: Tool) -> ToolFailed:
    return ToolFailed(f"the tool {tool.name!r} cancelled itself")
