"""`seasoned approvals`: what waits for a person, and a person's word on it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.commands import rules
from agent.cli.options import Config, Db, Json, TraceId, Uid

if TYPE_CHECKING:
    from agent.cli.deciding import Chosen

app = typer.Typer(help="What waits for a person.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(rules.app, name="rules")
CallId = Annotated[str | None, typer.Argument(metavar="[CALL]", help="The call's id; needed where several calls of the run wait.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who decides, for the record. [default: the system's user]")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run at once, as `seasoned resume` does.")]


@app.command("ls")
def ls(db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """List the calls that wait, oldest run first."""
    from agent.cli.deciding import list_waiting
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(list_waiting(place_of(load_project(config), db, uid), is_json=is_json))


@app.command("show")
def show(trace_id: TraceId, call: CallId = None, db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """Show a call that waits: its tool, its arguments, why it waits, and the commands that decide it."""
    from agent.cli.deciding import show_waiting
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(show_waiting(place_of(load_project(config), db, uid), trace_id, call, is_json=is_json))


@app.command("approve")
def approve(
    trace_id: TraceId,
    call: CallId = None,
    by: By = None,
    resume: Resume = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Let a call run with exactly the arguments it asks for."""
    from agent.cli.deciding import decide

    raise typer.Exit(asyncio.run(decide(_chosen(trace_id, call, by, resume, db, uid, config, is_json), "approve")))


@app.command("edit")
def edit(
    trace_id: TraceId,
    call: CallId = None,
    pairs: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter that changes; VALUE is JSON, else text.")] = None,
    arguments: Annotated[str | None, typer.Option("--arguments", metavar="JSON", help="All that changes, as one object.")] = None,
    by: By = None,
    resume: Resume = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Let a call run with some of its editable arguments changed; the others stay as they were asked for."""
    from agent.cli.deciding import changes_of, decide

    changes = changes_of(pairs, arguments)
    raise typer.Exit(asyncio.run(decide(_chosen(trace_id, call, by, resume, db, uid, config, is_json), "edit", changes=changes)))


@app.command("reject")
def reject(
    trace_id: TraceId,
    call: CallId = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; the model is told.")] = None,
    by: By = None,
    resume: Resume = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Refuse a call: it does not run, and the model is told so."""
    from agent.cli.deciding import decide

    raise typer.Exit(asyncio.run(decide(_chosen(trace_id, call, by, resume, db, uid, config, is_json), "reject", reason=reason)))


@app.command("respond")
def respond(
    trace_id: TraceId,
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="What the model is told instead of a result; '-' reads it from stdin.")],
    call: CallId = None,
    by: By = None,
    resume: Resume = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Answer in the tool's place: it does not run, and the model is told the text."""
    from agent.cli.deciding import decide, response_of

    said = response_of(text)
    raise typer.Exit(asyncio.run(decide(_chosen(trace_id, call, by, resume, db, uid, config, is_json), "respond", text=said)))


@app.command("resolve")
def resolve(
    trace_id: TraceId,
    words: Annotated[list[str], typer.Argument(metavar="[CALL] done|not_done|retry", help="The call, where several wait, and what became of it.")],
    result: Annotated[str | None, typer.Option("--result", metavar="TEXT", help="What the model is told came of it.")] = None,
    by: By = None,
    resume: Resume = False,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Say what became of a call in doubt: look at the world first. `retry` runs it again."""
    from agent.cli.deciding import outcome_of
    from agent.cli.deciding import resolve as record

    call, outcome = outcome_of(words)
    raise typer.Exit(asyncio.run(record(_chosen(trace_id, call, by, resume, db, uid, config, is_json), outcome, result=result)))


app.command("suggest")(rules.suggest)


def _chosen(trace_id: str, call: str | None, by: str | None, may_resume: bool, db: str | None, uid: str | None, config: Path | None, is_json: bool) -> "Chosen":
    from agent.cli.casting import Given
    from agent.cli.deciding import Chosen
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.running import Job

    project = load_project(config)
    job = Job(place=place_of(project, db, uid), project=project, given=Given(), is_json=is_json)
    return Chosen(job=job, trace=trace_id, call=call, by=by, may_resume=may_resume)
