"""`seasoned pause` and `seasoned cancel`."""

import asyncio
from typing import Annotated

import typer

from agent.cli.options import Config, Db, TraceId, Uid

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it, for the record.")]


def pause(trace_id: TraceId, by: By = None, db: Db = None, uid: Uid = None, config: Config = None) -> None:
    """Have a run rest at its next safe point, whichever process drives it. `seasoned resume` goes on."""
    asyncio.run(_stop(trace_id, "pause", by, db, uid, config))


def cancel(trace_id: TraceId, by: By = None, db: Db = None, uid: Uid = None, config: Config = None) -> None:
    """End a run for good, whichever process drives it."""
    asyncio.run(_stop(trace_id, "cancel", by, db, uid, config))


async def _stop(wanted: str, what: str, by: str | None, db: str | None, uid: str | None, config: Config) -> None:
    from agent.cli.outlet import tell
    from agent.cli.place import find_trace, opened, place_of
    from agent.cli.project_file import load_project
    from agent.runner import AgentRunner

    place = place_of(load_project(config), db, uid)
    async with opened(place) as store, AgentRunner(store.traces) as runner:
        trace_id = (await find_trace(store.traces, wanted, place.uid)).trace_id
        who = by or "command line"
        if what == "cancel":
            await runner.cancel(trace_id, by=who, uid=place.uid)
        else:
            await runner.pause(trace_id, by=who, uid=place.uid)
        after = await store.traces.get_trace(trace_id, uid=place.uid)
        status = after.status if after is not None else "gone"
        words = f": {what} is on the record; the process that drives it obeys at the next safe point" if status == "running" else f" is {status}"
        tell(f"run {trace_id}{words}")
