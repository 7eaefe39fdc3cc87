"""`seasoned memory ls`, `show`, `edit` and the like: people look after what was learnt."""

import asyncio
from typing import Annotated

import typer

from agent.cli.options import Config, Db, Json, Uid

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so. [default: the uid]")]
Item = Annotated[str, typer.Argument(metavar="ID", help="An item by its id, a beginning of it that only one has, or 'last'.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


def ls(
    query: Annotated[str | None, typer.Option("--query", "-q", metavar="WORDS", help="Only what fits these words, best first.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="candidate, shadow, active, superseded or retired.")] = None,
    scope: Annotated[str | None, typer.Option("--scope", help="Such as agent:default, user, project:NAME or shared.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="experience, skill or case.")] = "experience",
    since: Annotated[str | None, typer.Option("--since", metavar="AGE", help="Such as 30d, 12h or 90m.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, metavar="N")] = 20,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """List what was learnt, newest first: state, words, evidence, how often it was told, and whether it helps."""
    from agent.cli.curating import Filter, list_items
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    wanted = Filter(kind=kind, state=state, scope=scope, since=since, query=query, limit=limit)
    asyncio.run(list_items(place_of(load_project(config), db, uid), wanted, is_json=is_json))


def show(item: Item, db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """Show an item whole: its words, the steps it rests on, where it was told and how those runs went, and every change of it."""
    from agent.cli.curating import show_item
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(show_item(place_of(load_project(config), db, uid), item, is_json=is_json))


def edit(
    item: Item,
    rule: Annotated[str | None, typer.Option("--rule", metavar="TEXT", help="What is to be done.")] = None,
    condition: Annotated[str | None, typer.Option("--condition", metavar="TEXT", help="When: by these words it is found.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="do, dont or preference.")] = None,
    confidence: Annotated[float | None, typer.Option("--confidence", min=0, max=1, metavar="0..1")] = None,
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Make a new version of an experience; the older ones stay on the record."""
    from agent.cli.curating import edit_item
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    changes = {"rule": rule, "condition": condition, "kind": kind, "confidence": confidence}
    asyncio.run(edit_item(place_of(load_project(config), db, uid), item, changes, by=by, is_json=is_json))


def retire(
    item: Item,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT")] = "",
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Take an item out of use: no run is told it any more. `memory restore` puts it back."""
    from agent.cli.curating import set_state
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(set_state(place_of(load_project(config), db, uid), item, "retired", by=by, reason=reason, is_json=is_json))


def activate(
    item: Item,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT")] = "",
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Take an experience into use that was only logged; `memory prove` shows first what it would do."""
    from agent.cli.curating import set_state
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(set_state(place_of(load_project(config), db, uid), item, "active", by=by, reason=reason, is_json=is_json))


def promote(
    item: Item,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who shares it; it stays on the record.")],
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Share an item with every uid within its scope."""
    from agent.cli.curating import share_item
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(share_item(place_of(load_project(config), db, uid), item, by=by, is_json=is_json))


def conflicts(
    accept: Annotated[str | None, typer.Option("--accept", metavar="ID", help="Do what this one proposes.")] = None,
    refuse: Annotated[str | None, typer.Option("--refuse", metavar="ID", help="Leave both as they are, or bring the older one back.")] = None,
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Show lessons that say nearly the same, and those that took another's place, each as a diff; settle one of them."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.settling import settle, show_conflicts

    place = place_of(load_project(config), db, uid)
    is_one = accept is not None or refuse is not None
    asyncio.run(settle(place, accept=accept, refuse=refuse, by=by, is_json=is_json) if is_one else show_conflicts(place, is_json=is_json))


def forget(
    item: Annotated[str | None, typer.Argument(metavar="[ID]", help="An item by its id.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="What came of this run.")] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="NAME", help="What came from there, such as feedback or import.")] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="WORDS", help="What has these words in it.")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="All that the uid has.")] = False,
    is_dry_run: DryRun = False,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Remove words from memory for good: from the items, the index, the history, the file. That something was forgotten stays known."""
    from agent.cli.forgetting import Meant
    from agent.cli.forgetting import forget as forget_items
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    meant = Meant(item=item, run=run, source=source, text=text, is_all=is_all)
    place = place_of(load_project(config), db, uid)
    asyncio.run(forget_items(place, meant, by=by, is_dry_run=is_dry_run, is_sure=is_sure, is_json=is_json))


def export(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A new file. [default: stdout]")] = None,
    form: Annotated[str, typer.Option("--format", help="jsonl or md.")] = "jsonl",
    has_cases: Annotated[bool, typer.Option("--cases/--no-cases", help="Also what was tried and how it ended.")] = True,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
) -> None:
    """Write all that was learnt as JSON lines, or as Markdown that people can edit."""
    from agent.cli.packing import export_memory
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(export_memory(place_of(load_project(config), db, uid), file, form, has_cases=has_cases))


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `memory export` wrote, in either form; '-' is stdin.")],
    take_over: Annotated[bool, typer.Option("--as-mine", help="Make all of it this uid's.")] = False,
    may_share: Annotated[bool, typer.Option("--shared", help="Take in also what is shared with all uids, and leave it so.")] = False,
    is_dry_run: DryRun = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Take in what was learnt elsewhere. Every line is looked at before one is written."""
    from agent.cli.packing import import_memory
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    place = place_of(load_project(config), db, uid)
    asyncio.run(import_memory(place, file, take_over=take_over, may_share=may_share, is_dry_run=is_dry_run, is_json=is_json))


def add_to(app: typer.Typer) -> None:
    """Add these commands to `seasoned memory`."""
    app.command("ls")(ls)
    app.command("show")(show)
    app.command("edit")(edit)
    app.command("retire")(retire)
    app.command("activate")(activate)
    app.command("promote")(promote)
    app.command("conflicts")(conflicts)
    app.command("forget")(forget)
    app.command("export")(export)
    app.command("import")(import_)
