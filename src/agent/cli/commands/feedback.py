"""`seasoned feedback`: what a person thinks of a step, or how a run went."""

import asyncio
from typing import Annotated

import typer

from agent.cli.options import Config, Db, Json, Uid

app = typer.Typer(help="What you think of a run's steps; corrections are learnt from.", no_args_is_help=True, rich_markup_mode=None)
Target = Annotated[str, typer.Argument(metavar="ID[/SEQ]", help="A run (its answer is meant), or one of its steps.")]
Given = Annotated[str, typer.Argument(metavar="ID/SEQ", help="The step in which the feedback was given; `feedback ls` names it.")]
Run = Annotated[str, typer.Argument(metavar="ID", help="A run: its id, a beginning of it that only one has, or 'last'.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so.")]
Positive = Annotated[str | None, typer.Option("--positive", metavar="TEXT", help="What was good.")]
Negative = Annotated[str | None, typer.Option("--negative", metavar="TEXT", help="What was bad.")]
Correction = Annotated[str | None, typer.Option("--correction", metavar="TEXT", help="How it is done rightly; later runs are told.")]
RightTool = Annotated[str | None, typer.Option("--tool", metavar="NAME", help="The tool that would have been right.")]
RightArguments = Annotated[str | None, typer.Option("--args", metavar="JSON", help="The arguments that would have been right, as a JSON object.")]
RightOutput = Annotated[str | None, typer.Option("--output", metavar="TEXT", help="The output that would have been right.")]


@app.callback()
def _feedback() -> None:
    """What you think of a run's steps; corrections are learnt from."""


@app.command("add")
def add(
    target: Target,
    positive: Positive = None,
    negative: Negative = None,
    correction: Correction = None,
    tool: RightTool = None,
    args: RightArguments = None,
    output: RightOutput = None,
    by: By = None,
    learn: Annotated[bool, typer.Option("--learn/--no-learn", help="Whether it is learnt from; `feedback learn` does so later.")] = True,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Record what you think of a run's answer, or of one step. With --tool, --args or --output it is a correction, with or without words."""
    from agent.cli.opinions import Opinion, add_feedback, opinion_of, right_of
    from agent.cli.project_file import load_project

    right = right_of(tool, args, output)
    opinion: Opinion = opinion_of({"positive": positive, "negative": negative, "correction": correction}, right, by)
    asyncio.run(add_feedback(load_project(config), (db, uid), target, opinion, is_learning=learn, is_json=is_json))


@app.command("ls")
def ls(
    run: Annotated[str | None, typer.Argument(metavar="[ID]", help="A run; without it the newest runs that anything was said of.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, metavar="N", help="Runs at most.")] = 20,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """List feedback as it stands now, and what came of it."""
    from agent.cli.opinions import list_feedback
    from agent.cli.project_file import load_project

    asyncio.run(list_feedback(load_project(config), (db, uid), run, limit=limit, is_json=is_json))


@app.command("edit")
def edit(
    feedback: Given,
    positive: Positive = None,
    negative: Negative = None,
    correction: Correction = None,
    tool: RightTool = None,
    args: RightArguments = None,
    output: RightOutput = None,
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Say it in another way: what was learnt of it is superseded, and stays on the record."""
    from agent.cli.opinions import edit_feedback, opinion_of, right_of
    from agent.cli.project_file import load_project

    opinion = opinion_of({"positive": positive, "negative": negative, "correction": correction}, right_of(tool, args, output), by)
    asyncio.run(edit_feedback(load_project(config), (db, uid), feedback, opinion, is_json=is_json))


@app.command("undo")
def undo(feedback: Given, by: By = None, db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """Take feedback back: what was learnt of it is told no more. `feedback redo` gives it again."""
    from agent.cli.opinions import undo_feedback
    from agent.cli.project_file import load_project

    asyncio.run(undo_feedback(load_project(config), (db, uid), feedback, by=by, is_json=is_json))


@app.command("redo")
def redo(feedback: Given, by: By = None, db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """Give feedback again that was taken back."""
    from agent.cli.opinions import undo_feedback
    from agent.cli.project_file import load_project

    asyncio.run(undo_feedback(load_project(config), (db, uid), feedback, by=by, is_json=is_json, is_redo=True))


@app.command("outcome")
def outcome(
    run: Run,
    value: Annotated[float, typer.Argument(metavar="VALUE", help="From 0 (it failed) to 1 (it went well).")],
    by: By = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Say how a run really went; your last word counts."""
    from agent.cli.opinions import give_outcome
    from agent.cli.project_file import load_project

    asyncio.run(give_outcome(load_project(config), (db, uid), run, value, by=by, is_json=is_json))


@app.command("learn")
def learn(run: Run, db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """Learn from a run now, also from what was only to be recorded, or from a run without memory."""
    from agent.cli.opinions import learn_from
    from agent.cli.project_file import load_project

    asyncio.run(learn_from(load_project(config), (db, uid), run, is_json=is_json))
