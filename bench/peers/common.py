"""The scripted work every peer runs, and the measuring helpers.

Work: a scripted model (zero latency, no network) asks for tool `work(i)` on its
calls 1..N-1 and concludes on call N.  Every tool call returns `tool_bytes`
characters that occur nowhere else in the run.  "Unique bytes" is what a store
must hold at the least: the prompt, each assistant text, each tool argument and
each tool result, once.
"""
from __future__ import annotations

import hashlib
import os
import resource
import signal
import time
from pathlib import Path

SYSTEM = "You are a careful worker. " * 8          # 208 characters, as a small system prompt
TASK = "Do the scripted work."
FINAL = "The work is done."


def say(i: int) -> str:
    """The assistant's text that goes with tool call i (about 100 characters)."""
    return f"Step {i}: I look at part {i} of the input next, because the previous result asks for it. " + "." * 10


def payload(i: int, size: int) -> str:
    """`size` characters, different for every i, that do not compress well."""
    out, n = [], 0
    block = 0
    while n < size:
        h = hashlib.sha256(f"{i}/{block}".encode()).hexdigest()
        out.append(h)
        n += len(h)
        block += 1
    return "".join(out)[:size]


def size_of(i: int, size: int) -> int:
    """The size of result i: `size`, or with BENCH_MIXED=1 from half of it to one and a half, the same in every process."""
    if not os.environ.get("BENCH_MIXED"):
        return size
    return size // 2 + int(hashlib.sha256(b"%d" % i).hexdigest(), 16) % size


def unique_bytes(steps: int, tool_bytes: int) -> int:
    n = len(SYSTEM) + len(TASK) + len(FINAL)
    for i in range(1, steps):
        n += len(say(i)) + len('{"i": %d}' % i) + size_of(i, tool_bytes)
    return n


class Script:
    """What the fake model does and what the tool does; shared by all peers.

    crash_at: the tool call (1-based) in which the process kills itself with
    SIGKILL after the side effect is on disk, before the result is returned.
    fanout: number of parallel tool calls the model asks for in each step.
    """

    def __init__(self, steps: int, tool_bytes: int, crash_at: int | None = None,
                 fanout: int = 1, effects: str | None = None):
        self.steps, self.tool_bytes = steps, tool_bytes
        self.crash_at, self.fanout, self.effects = crash_at, fanout, effects
        self.model_calls = 0
        self.tool_calls = 0

    # model ------------------------------------------------------------
    def decide(self, step: int) -> list[int] | None:
        """step: 1-based number of the model call. None means conclude."""
        self.model_calls += 1
        if self.effects:
            _append(self.effects, f"model {step}")
        if step >= self.steps:
            return None
        if self.fanout == 1:
            return [step]
        return [step * 100 + k for k in range(self.fanout)]

    # tool -------------------------------------------------------------
    def tool(self, i: int) -> str:
        """The side effect of the tool, synchronous part."""
        self.tool_calls += 1
        if self.effects:
            _append(self.effects, f"tool {i}")
        if self.crash_at is not None and i == self.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return payload(i, size_of(i, self.tool_bytes))

    async def atool(self, i: int) -> str:
        if self.crash_at is not None and i == self.crash_at and self.fanout > 1:
            import asyncio
            await asyncio.sleep(1.0)   # let the sibling calls finish and be persisted
        return self.tool(i)


def _append(path: str, line: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, (line + "\n").encode())
    os.close(fd)


# measuring ------------------------------------------------------------
def cpu() -> float:
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def written_bytes() -> int:
    """Bytes this process handed to write() since it began (Linux)."""
    try:
        for line in Path("/proc/self/io").read_text().splitlines():
            if line.startswith("wchar:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def disk_bytes(folder: str) -> int:
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())


class Meter:
    def __enter__(self):
        self.rss0, self.w0, self.c0, self.t0 = peak_rss_mb(), written_bytes(), cpu(), time.perf_counter()
        return self

    def __exit__(self, *exc):
        self.wall = time.perf_counter() - self.t0
        self.cpu = cpu() - self.c0
        self.written = written_bytes() - self.w0
        self.rss = peak_rss_mb()
        return False

    def row(self) -> dict:
        return {"wall": self.wall, "cpu": self.cpu, "written": self.written,
                "rss": self.rss, "rss_before": self.rss0}
