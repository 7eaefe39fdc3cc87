"""`seasoned runs`: what was run, in lists, trees and files."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import Config, Db, Json, TraceId, Uid

app = typer.Typer(help="What was run.", no_args_is_help=True, rich_markup_mode=None)
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, metavar="N", help="So many at most.")]


@app.command("ls")
def ls(
    status: Annotated[str | None, typer.Option("--status", help="running, waiting, paused, completed, limit_reached, cancelled or failed.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only this agent's.")] = None,
    conversation: Annotated[str | None, typer.Option("--conversation", metavar="ID", help="Only this conversation's.")] = None,
    limit: Limit = 20,
    before: Annotated[str | None, typer.Option("--before", metavar="ID", help="Only runs older than this one: the next page.")] = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """List runs, newest first."""
    from agent.cli.listing import Filter, list_runs
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    wanted = Filter(status=status, agent_type=agent, conversation_id=conversation, limit=limit, before=before)
    asyncio.run(list_runs(place_of(load_project(config), db, uid), wanted, is_json=is_json))


@app.command("show")
def show(trace_id: TraceId, db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """Show a run as a tree: model calls, the tools beneath them, and how it ended."""
    from agent.cli.outline import show_run
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(show_run(place_of(load_project(config), db, uid), trace_id, is_json=is_json))


@app.command("tail")
def tail(
    trace_id: TraceId,
    after: Annotated[int, typer.Option("--after", min=-1, metavar="SEQ", help="Only what follows this step.")] = -1,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Follow a run, also one that another process drives, until it rests. Leaving does not stop it."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.tailing import tail_run

    raise typer.Exit(asyncio.run(tail_run(place_of(load_project(config), db, uid), trace_id, after=after, is_json=is_json)))


@app.command("diff")
def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="A run's id, or a beginning of it.")],
    second: Annotated[str | None, typer.Argument(metavar="[B]", help="Another run's; without it a fork is compared with what it was forked from.")] = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Show how run B differs from run A: steps that only one of them has, and results, arguments and answers that changed."""
    from agent.cli.comparing import diff_runs
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(diff_runs(place_of(load_project(config), db, uid), first, second, is_json=is_json))


@app.command("export")
def export(
    trace_id: TraceId,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a new file instead of stdout.")] = None,
    is_lean: Annotated[bool, typer.Option("--lean", help="Only what an import needs: steps and prompts are not written out for readers.")] = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
) -> None:
    """Write a run as one JSON document that needs nothing else: its steps with all that the model saw, and its log for `import`."""
    from agent.cli.exporting import export_run
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(export_run(place_of(load_project(config), db, uid), trace_id, output, is_lean=is_lean))


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `seasoned runs export` wrote; '-' reads it from stdin.")],
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Take an exported run into the store, with all that it rests on, after checking it. Nothing of it goes on by itself."""
    from agent.cli.exporting import import_runs
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(import_runs(place_of(load_project(config), db, uid), file, is_json=is_json))


@app.command("verify")
def verify(
    trace_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One run; without it all of yours.")] = None,
    head: Annotated[str | None, typer.Option("--head", metavar="HASH", help="What --print-head said of it once: it must have gone on from there.")] = None,
    heads: Annotated[Path | None, typer.Option("--heads", metavar="FILE", help="All that --print-head said once (- is stdin): none may be gone.")] = None,
    print_head: Annotated[bool, typer.Option("--print-head", help="Print each id and head: keep them elsewhere.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="Check the memory (everybody's) instead.")] = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Check that nothing was changed, removed, added or moved since it was recorded. Exit code 1 if something was."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.verifying import Checking, verify_runs
    from agent.errors import BadInput

    if head is not None and trace_id is None and not memory:
        raise BadInput("--head is of one run: name it, or give --memory, or a list of all with --heads")
    if memory and trace_id is not None:
        raise BadInput("--memory checks the memory, not a run: leave out the id")
    asked = Checking(wanted=trace_id, head=head, heads=heads, memory=memory, prints_heads=print_head, is_json=is_json)
    raise typer.Exit(asyncio.run(verify_runs(place_of(load_project(config), db, uid), asked)))


@app.command("erase")
def erase(
    trace_id: TraceId,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: it stays on the record.")],
    step: Annotated[list[int] | None, typer.Option("--step", min=0, metavar="SEQ", help="A step's number; again for more.")] = None,
    all_steps: Annotated[bool, typer.Option("--all", help="All of its steps.")] = False,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who erases it.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
) -> None:
    """Forget what steps of a completed or cancelled run said, for good. That they were there stays, with who erased them and why."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.verifying import erase_steps
    from agent.errors import BadInput

    if bool(step) == all_steps:
        raise BadInput("say which: --step 3 --step 4, or --all")
    asyncio.run(erase_steps(place_of(load_project(config), db, uid), trace_id, step or None, reason=reason, by=by, is_sure=yes))


@app.command("prune")
def prune(
    older_than: Annotated[str, typer.Option("--older-than", metavar="AGE", help="Such as 30d, 12h or 90m.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Remove runs that ended and are old; those that a kept one goes on from stay."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.upkeep import prune_runs

    asyncio.run(prune_runs(place_of(load_project(config), db, uid), older_than, is_dry_run=dry_run, is_sure=yes, is_json=is_json))


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; nothing is overwritten.")], db: Db = None, uid: Uid = None, config: Config = None
) -> None:
    """Copy the whole store (everybody's runs, memories and states) to a new file, while runs go on."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.upkeep import backup_store

    asyncio.run(backup_store(place_of(load_project(config), db, uid), file))


@app.command("restore")
def restore(file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")], db: Db = None, uid: Uid = None, config: Config = None) -> None:
    """Make a store from a backup. The store (--db) must not exist yet."""
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.upkeep import restore_store

    restore_store(place_of(load_project(config), db, uid), file)
