"""`seasoned doctor`: what works here."""

import asyncio

import typer

from agent.cli.options import Config, Db, Json


def doctor(db: Db = None, config: Config = None, is_json: Json = False) -> None:
    """Say which models, keys, stores and extras work here, and what to do about those that do not. Exit code 1 if no agent can run."""
    from agent.cli.checkup import examine

    raise typer.Exit(asyncio.run(examine(db, config, is_json=is_json)))
