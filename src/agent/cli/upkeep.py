"""Looking after a store: pruning, copying, restoring."""

import re
import sys
from datetime import timedelta
from pathlib import Path

import typer

from agent.cli.grants import forget_grants
from agent.cli.listing import when_text
from agent.cli.outlet import say, say_json, tell
from agent.cli.place import Place, opened
from agent.cli.visible import one_line
from agent.clock import now
from agent.errors import BadInput

_AGE = re.compile(r"(\d{1,6})\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age_of(text: str) -> timedelta:
    """Return the span that a text such as `30d` means.

    Raises:
        BadInput: it means none.
    """
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise BadInput(f"{text!r} is no age: write a number with m, h, d or w, such as 90m, 12h, 30d or 8w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


async def prune_runs(place: Place, older_than: str, *, is_dry_run: bool, is_sure: bool, is_json: bool) -> None:
    """Remove old ended runs of this uid, after asking on a terminal.

    Raises:
        BadInput: the age is none, or nobody can be asked.
    """
    try:
        before = now() - age_of(older_than)
    except OverflowError:
        raise BadInput(f"{older_than!r} is longer ago than dates go") from None
    async with opened(place) as store:
        found = await store.traces.prune(before=before, uid=place.uid, is_dry_run=True)
        if found and not is_dry_run:
            _make_sure(len(found), older_than, is_sure=is_sure)
            found = await store.traces.prune(before=before, uid=place.uid)
            forget_grants(found)
        elif not is_json:
            for trace_id in found:
                trace = await store.traces.get_trace(trace_id, uid=place.uid)
                if trace is not None:
                    say(f"{trace_id}  {when_text(trace.created_at)}  {trace.status}  {one_line(trace.task or '', 60)}")
    if is_json:
        say_json({"is_dry_run": is_dry_run, "trace_ids": found})
    else:
        tell(f"{len(found)} runs {'would be' if is_dry_run else 'were'} removed")


def _make_sure(count: int, older_than: str, *, is_sure: bool) -> None:
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise BadInput(f"{count} runs older than {older_than} would be removed for good: say --yes, or look first with --dry-run")
    if not typer.confirm(f"Remove {count} runs older than {older_than} for good?", err=True):
        raise typer.Exit(1)


async def backup_store(place: Place, file: Path) -> None:
    """Copy the store to a new file."""
    async with opened(place) as store:
        size = await store.traces.backup(file)
    tell(f"{size:,} bytes written to {file}; `seasoned runs restore {file} --db sqlite:///new.db` makes a store of it")


def restore_store(place: Place, file: Path) -> None:
    """Make a store from a backup.

    Raises:
        BadInput: the store exists, or is none with a file.
    """
    from agent.storage.sqlite.backup import restore

    target = place.file
    if target is None:
        raise BadInput(f"a backup is restored to a file, not to {place.url!r}: --db sqlite:///runs.db")
    target.parent.mkdir(mode=0o700, exist_ok=True)
    found = restore(file, target)
    tell(f"{target} holds what {file} held (format {found})")
