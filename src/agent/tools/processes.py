"""Tools in a process of their own (`isolation="process"`): what a timeout or a cancel ends is then really at an end.

The function is found by its module and name in a fresh interpreter; arguments and result cross as JSON, nothing is pickled.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from agent.errors import ConfigInvalid, ToolFailed, ToolNotStarted, ToolTimeout
from agent.tools.context import ToolContext
from agent.tools.tool import Tool

MAX_REPLY_BYTES = 100_000_000  # of a result on its way back
STOP_S = 1.0  # between asking a process and its children to end, and ending them


class ProcessLost(ToolFailed):
    """The process of a tool ended without a word: whether the call took effect is not known."""


def checked_isolation(tool_name: str, isolation: Any, function: Callable[..., Any]) -> bool:
    """Return whether the tool runs in a process of its own.

    Raises:
        ConfigInvalid: there is no such isolation, or the function cannot be found by its name from another process.
    """
    if isolation in (None, "thread"):
        return False
    if isolation != "process":
        raise ConfigInvalid(f"tool {tool_name!r}: isolation={isolation!r} is neither 'thread' nor 'process'")
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    if asyncio.iscoroutinefunction(function) or not name.isidentifier() or not module or module == "__main__" or os.name != "posix":
        raise ConfigInvalid(
            f"tool {tool_name!r}: isolation='process' takes a plain, synchronous function at the top of a module that can be imported by its name"
            " (not of the script that is run), on a POSIX system"
        )
    return True


async def in_process(tool: Tool, arguments: dict[str, Any], context: ToolContext, timeout_s: float | None) -> Any:
    """Return what the tool's function returned in a process of its own, which does not outlive this call.

    Raises:
        ToolTimeout: it took longer than it may, and was ended.
        ToolNotStarted: its process could not be started or not find it, or it says so itself.
        ToolFailed: it raised.
        ProcessLost: its process ended without a word.
    """
    request = {
        "module": tool.function.__module__,
        "function": tool.function.__qualname__,
        "arguments": arguments,
        "context": {name: getattr(context, name) for name in ("trace_id", "step_id", "call_id", "uid", "idempotency_key", "attempt")},
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.tools.child", stdin=pipe, stdout=pipe, limit=MAX_REPLY_BYTES, env=environment, start_new_session=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            with contextlib.suppress(ConnectionError):  # it ended before it read: its silence says so below
                child.stdin.write(json.dumps(request).encode() + b"\n")
                await child.stdin.drain()
            line = await child.stdout.readline()
    except TimeoutError:
        context.cancelled.set()
        raise ToolTimeout(f"the tool {tool.name!r} took longer than {timeout_s or 0:g} s") from None
    except asyncio.CancelledError:
        context.cancelled.set()
        raise
    except ValueError:
        raise ToolFailed(f"the result of the tool {tool.name!r} is longer than {MAX_REPLY_BYTES} bytes") from None
    finally:
        await _end(child)
    return _result(tool, line, child.returncode)


def _result(tool: Tool, line: bytes, code: int | None) -> Any:
    try:
        reply = json.loads(line)
    except ValueError:
        raise ProcessLost(f"the process of the tool {tool.name!r} ended without a result (exit code {code})") from None
    if "result" in reply:
        return reply["result"]
    error = ToolNotStarted if reply.get("is_not_started") else ToolFailed
    raise error(f"the tool {tool.name!r} failed: {reply.get('error')}")


async def _end(child: asyncio.subprocess.Process) -> None:
    """End the process and all it started; a second cancel only hurries it."""
    try:
        _signal(child, signal.SIGTERM)
        async with asyncio.timeout(STOP_S):
            await child.wait()
    except TimeoutError:
        pass
    finally:
        _signal(child, signal.SIGKILL)
    await child.wait()


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)  # its session is its own
