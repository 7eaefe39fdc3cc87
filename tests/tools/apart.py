"""Functions for tools that run in a process of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from agent.tools.context import ToolContext


def add(ctx: ToolContext, a: int, b: int = 1) -> dict[str, object]:
    """Add."""
    print("this is no result")  # noqa: T201  # on purpose
    return {"sum": a + b, "pid": os.getpid(), "key": ctx.idempotency_key}


def fail(how: str) -> str:
    """Fail."""
    if how == "die":
        os.kill(os.getpid(), 9)
    if how == "exit":
        sys.exit(3)
    raise ValueError(how)


def hang(folder: str) -> str:
    """Start a child, tell both ids, and hang."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (Path(folder) / "pids.tmp").write_text(f"{os.getpid()} {child.pid}")
    (Path(folder) / "pids.tmp").rename(Path(folder) / "pids")
    time.sleep(60)
    return "never"
