"""The program of a tool's own process: one request on stdin, one reply on stdout. It ends when whoever asked is gone."""

import importlib
import json
import os
import signal
import sys
import threading
from typing import Any

from agent.errors import ToolArgumentsInvalid, ToolNotStarted
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry
from agent.tools.result import readable


def main() -> None:
    """Read a request, call the function, write the reply. What the function prints goes to stderr."""
    reply_to = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, name="waits for the end of the parent", daemon=True).start()
    reply = json.dumps(_reply(request)).encode() + b"\n"
    with os.fdopen(reply_to, "wb") as out:
        out.write(reply)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # the parent keeps it open and writes no more: it ends with the parent
    os.killpg(0, signal.SIGKILL)


def _reply(request: dict[str, Any]) -> dict[str, Any]:
    try:
        function = getattr(importlib.import_module(request["module"]), request["function"])
        tool = ToolRegistry().register(function, name="tool", effect="read")
        positional, named = tool.checker.bind(request["arguments"])
    except (ImportError, AttributeError, ToolArgumentsInvalid) as error:
        return {"error": f"{type(error).__name__}: {error}", "is_not_started": True}
    if tool.context_parameter is not None:
        named[tool.context_parameter] = ToolContext(**request["context"])
    try:
        return {"result": readable(function(*positional, **named))}
    except ToolNotStarted as error:
        return {"error": str(error), "is_not_started": True}
    except BaseException as error:  # noqa: BLE001  # whatever it raises, also SystemExit, is told to who asked
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
