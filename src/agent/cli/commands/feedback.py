"""`seasoned feedback`: what a person thinks of a step."""

import asyncio
from typing import Annotated

import typer

from agent.cli.options import Config, Db, Json, Uid

app = typer.Typer(help="What you think of a run's steps; corrections are learnt from.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _feedback() -> None:
    """What you think of a run's steps; corrections are learnt from."""


@app.command("add")
def add(
    target: Annotated[str, typer.Argument(metavar="ID[/SEQ]", help="A run (its answer is meant), or one of its steps.")],
    positive: Annotated[str | None, typer.Option("--positive", metavar="TEXT", help="What was good.")] = None,
    negative: Annotated[str | None, typer.Option("--negative", metavar="TEXT", help="What was bad.")] = None,
    correction: Annotated[str | None, typer.Option("--correction", metavar="TEXT", help="How it is done rightly; later runs are told.")] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so.")] = None,
    learn: Annotated[bool, typer.Option("--learn/--no-learn", help="Whether an experience is made of it.")] = True,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Record what you think of a run's answer, or of one step."""
    from agent.cli.opinions import Kind, add_feedback
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    opinions: dict[Kind, str | None] = {"positive": positive, "negative": negative, "correction": correction}
    asyncio.run(add_feedback(place_of(load_project(config), db, uid), target, opinions, by=by, is_learning=learn, is_json=is_json))
