"""Whether the process that drives a run is still there: by its id on this machine, by its heartbeat everywhere."""

import os
import secrets
import socket
import sys
from asyncio import AbstractEventLoop
from collections.abc import Mapping
from functools import cache
from pathlib import Path

BEAT_TTL_S = 30.0
"""A heartbeat older than this is over."""

_open: dict[str, Mapping[str, AbstractEventLoop]] = {}  # owners of the stores that this process has open, with the loops that drive their traces


def new_owner(driven: Mapping[str, AbstractEventLoop] | None = None) -> str:
    """Return the owner string of a store that this process opens, and count it as open until `release`.

    `driven` is looked into when it is asked for: a trace whose event loop was closed has no driver, though its process lives.
    """
    host, boot = _here()
    pid = os.getpid()
    owner = "|".join((host, boot, str(pid), _started(pid), secrets.token_hex(4)))
    _open[owner] = driven if driven is not None else {}
    return owner


def release(owner: str) -> None:
    """Count the owner's store as closed."""
    _open.pop(owner, None)


def is_alive(owner: str | None, beat_ms: int | None, now_ms: int, trace_id: str = "") -> bool:
    """Return whether that owner can still be driving: its beat is not over and, on this machine, its process is there (and in this one, its event loop)."""
    if owner is None or beat_ms is None or now_ms - beat_ms > BEAT_TTL_S * 1000:
        return False
    host, boot, pid, started, _ = (*owner.split("|"), "", "", "", "", "")[:5]
    if (host, boot) != _here() or not pid.isdecimal():
        return True  # another machine: its beat is all that is known
    return is_driving_here(owner, trace_id) if int(pid) == os.getpid() else _is_running(int(pid), started)


def is_driving_here(owner: str, trace_id: str) -> bool:
    """Return whether a store of this process is open, and the event loop in which it drives a trace too."""
    driven = _open.get(owner)
    return driven is not None and not (trace_id in driven and driven[trace_id].is_closed())


@cache
def _here() -> tuple[str, str]:
    """Return this machine and its present boot; containers on one machine differ in their space of process ids."""
    host = socket.gethostname().replace("|", "-")
    return host, "-".join(part for part in (_read("/proc/sys/kernel/random/boot_id"), _link("/proc/self/ns/pid")) if part).replace("|", "-")


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError:  # no Linux: less is known, the heartbeat stays
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process began, in ticks since the boot; "" where that cannot be known."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""  # noqa: PLR2004  # field 22 of proc(5)


def _stat(pid: int) -> list[str]:
    """Return what /proc says of a process, from the third field on: what stands before, its name, may hold anything."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _is_running(pid: int, started: str) -> bool:
    if sys.platform == "win32":
        return True  # there os.kill would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    if _stat(pid)[:1] in (["Z"], ["X"]):  # it is dead: only its parent, which may be the one that asks, has not taken note
        return False
    return not started or _started(pid) in ("", started)
