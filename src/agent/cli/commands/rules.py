"""`seasoned approvals suggest` and `approvals rules`: what past decisions suggest, and the rules that people accepted from that."""

import asyncio
from typing import Annotated

import typer

from agent.cli.options import Config, Db, Json, Uid

app = typer.Typer(help="The approval rules that people accepted.", no_args_is_help=True, rich_markup_mode=None)
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so, for the record. [default: the system's user]")]


def suggest(
    accept: Annotated[str | None, typer.Option("--accept", metavar="SUGGESTION", help="Put this suggestion in force.")] = None,
    days: Annotated[float | None, typer.Option("--days", min=0, max=366, metavar="N", help="For how long, with --accept. [default: 30]")] = None,
    support: Annotated[int | None, typer.Option("--support", min=1, metavar="N", help="Equal decisions that a rule needs at least. [default: 5]")] = None,
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Show rules that people's equal decisions in the past give rise to, with what each would have done to all past decisions.

    Nothing changes until one is accepted.
    """
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.ruling import accept_rule, show_suggestions

    place = place_of(load_project(config), db, uid)
    if accept is None:
        asyncio.run(show_suggestions(place, support=support, is_json=is_json))
    else:
        asyncio.run(accept_rule(place, accept, days=days, support=support, by=by, is_json=is_json))


@app.command("ls")
def ls(
    every: Annotated[bool, typer.Option("--all", help="Also those that expired or were revoked.")] = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """List the rules in force, with who accepted them and until when they hold."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.ruling import list_rules

    asyncio.run(list_rules(place_of(load_project(config), db, uid), is_active=not every, is_json=is_json))


@app.command("revoke")
def revoke(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")],
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """End a rule at once: what it covers is asked about again."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.ruling import revoke_rule

    asyncio.run(revoke_rule(place_of(load_project(config), db, uid), rule, by=by, is_json=is_json))
