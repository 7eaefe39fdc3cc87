"""`seasoned db`: the store's file itself."""

import asyncio

import typer

from agent.cli.options import Config, Db

app = typer.Typer(help="The store's file.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _db() -> None:
    """The store's file."""


@app.command("migrate")
def migrate(db: Db = None, config: Config = None) -> None:
    """Bring the store to the format of this version; any command that opens it does so as well."""
    from agent.cli.migrating import migrate_store
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(migrate_store(place_of(load_project(config), db, None)))
