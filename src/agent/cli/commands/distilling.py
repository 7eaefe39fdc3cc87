"""`seasoned memory distill`: several experiences, written out as a skill."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import Config, Db, Json, Model, Uid


def distill(
    items: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Experiences by their ids; without any, by --scope or --about.")] = None,
    scope: Annotated[str | None, typer.Option("--scope", metavar="SCOPE", help="All of a scope, such as agent:clerk.")] = None,
    about: Annotated[str | None, typer.Option("--about", metavar="WORDS", help="Those that fit some words.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The skill's name. [default: from the tasks they are about]")] = None,
    target: Annotated[Path, typer.Option("--to", metavar="DIR", help="Below this folder.")] = Path("skills"),
    model: Model = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Write several experiences out as a skill, with their evidence, for a person to read and import.

    Without --model rules for alike tasks are put together; a model names and orders them, and changes no word of them.
    """
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.skill_drafts import Subject, write_draft

    project = load_project(config)
    subject = Subject(ids=tuple(items or ()), scope=scope, about=about)
    asyncio.run(write_draft(place_of(project, db, uid), project, subject, name=name, target=target, model=model, is_json=is_json))
