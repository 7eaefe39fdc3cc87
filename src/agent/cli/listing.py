"""The table of runs."""

import shlex
import typing
from collections.abc import Container
from datetime import datetime

from rich.table import Table
from rich.text import Text

from agent.cli.outlet import console, say_json, tell
from agent.cli.place import Place, opened, place_options
from agent.cli.visible import cost_text, one_line
from agent.clock import now
from agent.errors import BadInput
from agent.models.trace import Status, Trace, proof_of
from agent.models.value import Value

STATUSES = typing.get_args(Status)
RESTING = "yellow"
STYLES = {"completed": "green", "failed": "red", "cancelled": "red", "running": "cyan"}
INTERRUPTED = "interrupted"  # told in place of `running` where nobody drives the run any more
TASK_CHARS = 60
PROVED_CHARS = 30


class Filter(Value, frozen=True, kw_only=True):
    """Which runs are wanted."""

    status: str | None = None
    agent_type: str | None = None
    conversation_id: str | None = None
    limit: int = 20
    before: str | None = None


async def list_runs(place: Place, wanted: Filter, *, is_json: bool) -> None:
    """Print runs, newest first.

    Raises:
        BadInput: there is no such status.
    """
    if wanted.status is not None and wanted.status not in STATUSES:
        raise BadInput(f"no run has the status {wanted.status!r}: there are {', '.join(STATUSES)}")
    if place.file is not None and not place.file.exists():
        tell(f"no runs yet: {str(place.file)!r} is made by the first `seasoned run`; --db names another store")
        return
    async with opened(place) as store:
        found = await store.traces.list_traces(
            uid=place.uid,
            status=wanted.status,
            agent_type=wanted.agent_type,
            conversation_id=wanted.conversation_id,
            limit=wanted.limit,
            before=wanted.before,
        )
        dead = {trace.trace_id for trace in found if trace.status == "running" and not (await store.traces.head(trace.trace_id)).owner_is_alive}
    if is_json:
        for trace in found:
            say_json({**trace.to_dict(), "is_interrupted": trace.trace_id in dead})
        return
    if not found:
        tell(f"no runs of {place.uid!r} here" + (" that fit" if wanted != Filter(limit=wanted.limit) else ""))
        return
    console(is_stderr=False).print(_table(found, dead))
    options = place_options(place) or ""
    if dead:
        tell(f"interrupted: the process is gone, the run is on the record; go on with seasoned resume ID{options}")
    if len(found) == wanted.limit:
        tell(f"older ones: seasoned runs ls --before {found[-1].trace_id}{_filters(wanted)}{options}")


def _filters(wanted: Filter) -> str:
    """Return the options of the next page."""
    given = {"status": wanted.status, "agent": wanted.agent_type, "conversation": wanted.conversation_id}
    parts = [part for name, value in given.items() if value is not None for part in (f"--{name}", value)]
    parts += ["--limit", str(wanted.limit)] if wanted.limit != Filter().limit else []
    return f" {shlex.join(parts)}" if parts else ""


def _table(found: list[Trace], dead: Container[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", no_wrap=True)
    for name in ("when", "status", "agent"):
        table.add_column(name, no_wrap=True)
    table.add_column("task", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    for trace in found:
        table.add_row(
            trace.trace_id,
            when_text(trace.created_at),
            status_text(trace, is_dead=trace.trace_id in dead),
            Text(one_line(trace.agent_type or "-", 20)),
            Text(one_line(_task_text(trace), TASK_CHARS)),
            f"{trace.total_tokens:,}",
            cost_text(trace.total_cost, is_partial=trace.cost_is_partial),
        )
    return table


def _task_text(trace: Trace) -> str:
    proved = proof_of(trace)
    return (trace.task or "") if proved is None else f"(a proof of {one_line(proved, PROVED_CHARS)}) {trace.task or ''}"


def status_text(trace: Trace, *, is_dead: bool) -> Text:
    """Return how a run stands; a running one whose process is gone is `interrupted`."""
    shown = INTERRUPTED if trace.status == "running" and is_dead else trace.status
    return Text(shown, style=STYLES.get(shown, RESTING))


def when_text(at: datetime) -> str:
    """Return a moment in local time, without the day where that is today."""
    local, today = at.astimezone(), now().astimezone()
    return local.strftime("%H:%M:%S") if local.date() == today.date() else local.strftime("%Y-%m-%d %H:%M")
