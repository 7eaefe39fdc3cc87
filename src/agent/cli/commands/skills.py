"""`seasoned skills`: what agents know how to do, as Agent Skills folders and in the store."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import typer

from agent.cli.options import Config, Db, Json, Uid

app = typer.Typer(help="What agents know how to do: Agent Skills folders, brought into the store and out of it.", no_args_is_help=True, rich_markup_mode=None)
Wanted = Annotated[str, typer.Argument(metavar="NAME", help="A skill's name, or its id.")]
Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="A skill's folder, a folder of such folders, a zip or a tar.")]
Scope = Annotated[str | None, typer.Option("--scope", metavar="SCOPE", help="user (all your agents), agent:NAME, project:NAME or shared.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it. [default: you]")]


@app.callback()
def _skills() -> None:
    """What agents know how to do: Agent Skills folders, brought into the store and out of it."""


@app.command("ls")
def ls(
    scope: Scope = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that were replaced or retired.")] = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """List the skills in the store."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.skill_shelf import list_skills

    asyncio.run(list_skills(place_of(load_project(config), db, uid), scope=scope, every=every, is_json=is_json))


@app.command("show")
def show(
    wanted: Wanted,
    file: Annotated[str | None, typer.Option("--file", metavar="PATH", help="One of its files instead.")] = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Show a skill as its SKILL.md says it."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.skill_shelf import show_skill

    asyncio.run(show_skill(place_of(load_project(config), db, uid), wanted, file=file, is_json=is_json))


@app.command("import")
def import_(
    paths: Paths,
    scope: Scope = None,
    is_shared: Annotated[bool, typer.Option("--shared", help="For every uid of the store, not for yours alone.")] = False,
    trust: Annotated[
        Literal["person", "web"], typer.Option("--trust", help="web: a stranger wrote it, and what is read of it counts as untrusted content.")
    ] = "person",
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be imported.")] = False,
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Bring skills into the store, leniently: what the format does not allow is a warning. Nothing of them is run."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.skill_shelf import Import, import_skills

    wanted = Import(paths=tuple(paths), scope=scope, is_shared=is_shared, trust=trust, by=by, is_dry_run=is_dry_run)
    raise typer.Exit(asyncio.run(import_skills(place_of(load_project(config), db, uid), wanted, is_json=is_json)))


@app.command("export")
def export(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Skills by name or id.")] = None,
    target: Annotated[Path, typer.Option("--to", metavar="DIR", help="Below this folder.")] = Path("skills"),
    every: Annotated[bool, typer.Option("--all", help="All that are in use.")] = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Write skills as folders that pass `agentskills validate`."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.skill_shelf import export_skills

    asyncio.run(export_skills(place_of(load_project(config), db, uid), names or [], target, every=every, is_json=is_json))


@app.command("validate")
def validate(paths: Paths, is_json: Json = False) -> None:
    """Check skills as a strict reader does; the exit code is 1 where one is invalid. No store is needed."""
    from agent.cli.skill_shelf import check_skills

    raise typer.Exit(check_skills(paths, is_json=is_json))


@app.command("retire")
def retire(wanted: Wanted, by: By = None, db: Db = None, uid: Uid = None, config: Config = None) -> None:
    """Take a skill out of use; it stays on the record."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.skill_shelf import retire_skill

    asyncio.run(retire_skill(place_of(load_project(config), db, uid), wanted, by=by))
