"""`seasoned memory`: what was learnt, why it is told, and whether it helps."""

import asyncio
from typing import Annotated

import typer

from agent.cli.commands import curating
from agent.cli.options import Config, Db, Json, Uid

app = typer.Typer(help="What was learnt, why it is told, and whether it helps.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _memory() -> None:
    """What was learnt, why it is told, and whether it helps."""


@app.command("why")
def why(
    target: Annotated[str, typer.Argument(metavar="RUN[/SEQ]|ITEM", help="A run ('last' is the newest), one of its steps, or an item by its id.")],
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Show why a line stood in a prompt: the steps it was learnt from, who said so, where it was used and how those runs went.

    Of a step, such as feedback: what came of it.
    """
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.reasoning import show_why

    asyncio.run(show_why(place_of(load_project(config), db, uid), target, is_json=is_json))


@app.command("lift")
def lift(
    item: Annotated[str | None, typer.Argument(metavar="[ITEM]", help="One item; without it the memory as a whole, and each item.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only what this agent is told.")] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, max=100_000, metavar="N", help="Look at so many of the newest runs.")] = 1_000,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Show by how much runs go better with memory than without, with a 95 % interval, or how many more runs it takes to know."""
    from agent.cli.crediting import Wanted, show_lift
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    wanted = Wanted(item_id=item, scope=f"agent:{agent}" if agent is not None else None, runs=runs)
    asyncio.run(show_lift(place_of(load_project(config), db, uid), wanted, is_json=is_json))


@app.command("learnt")
def learnt(
    since: Annotated[str, typer.Option("--since", metavar="AGE", help="Such as 30d, 12h or 90m.")] = "7d",
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Show what was learnt lately, and whether it helps."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.reasoning import show_learnt

    asyncio.run(show_learnt(place_of(load_project(config), db, uid), since, is_json=is_json))


@app.command("restore")
def restore(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item by its id.")],
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so.")] = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Put an item back that was quarantined, retired or superseded; it is then judged by the runs to come."""
    from agent.cli.crediting import put_back
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(put_back(place_of(load_project(config), db, uid), item, by=by, is_json=is_json))


curating.add_to(app)
