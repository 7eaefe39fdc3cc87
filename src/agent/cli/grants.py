"""What a run was allowed when it began (its tools, folder, hosts), so that `resume` needs no options.

Kept in the user's own state folder, never in the store: a store from elsewhere can neither open folders nor load code here.
"""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.models.value import Value

KEPT_S = 180 * 24 * 3600
"""Grants older than this are removed when a new one is kept."""


class Grants(Value, frozen=True, kw_only=True):
    """One run's; paths are absolute."""

    tools: list[str] = []
    modules: list[str] = []
    folders: list[str] = []
    root: str | None = None
    hosts: list[str] = []
    model: str | None = None
    policies: list[str] = []


def grants_folder() -> Path:
    """Return the folder; it may not exist yet."""
    named = os.environ.get("XDG_STATE_HOME", "").strip()
    return (Path(named) if named else Path.home() / ".local" / "state") / "seasoned" / "grants"


def keep_grants(trace_id: str, grants: Grants) -> None:
    """Keep what a run was allowed. Where that cannot be written, a resume asks for the options again."""
    with contextlib.suppress(OSError, RuntimeError):
        folder = grants_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{trace_id}.json"
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_bytes(msgspec.json.encode(grants))
        part.replace(path)
        _remove_old(folder)


def kept_grants(trace_id: str) -> Grants | None:
    """Return what was kept for a run; None where there is nothing usable."""
    try:
        return msgspec.json.decode((grants_folder() / f"{trace_id}.json").read_bytes(), type=Grants)
    except (OSError, RuntimeError, msgspec.MsgspecError):
        return None


def forget_grants(trace_ids: Iterable[str]) -> None:
    """Remove what was kept for runs that are gone."""
    for trace_id in trace_ids:
        with contextlib.suppress(OSError, RuntimeError):
            (grants_folder() / f"{trace_id}.json").unlink()


def _remove_old(folder: Path) -> None:
    oldest = time.time() - KEPT_S
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
