"""`seasoned step`: one fact of a run, in full."""

import asyncio
from typing import Annotated

import typer

from agent.cli.options import Config, Db, Json, Uid

app = typer.Typer(help="One step of a run.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _step() -> None:
    """One step of a run."""


@app.command("show")
def show(
    step_id: Annotated[str, typer.Argument(metavar="ID/SEQ", help="The run's id (or its beginning, or 'last'), a stroke, the step's number.")],
    messages: Annotated[bool, typer.Option("--messages", help="Of a model call: all that the model saw.")] = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Show a step with everything in it."""
    from agent.cli.one_step import show_step
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(show_step(place_of(load_project(config), db, uid), step_id, with_messages=messages, is_json=is_json))
