"""`seasoned fork` and `seasoned replay`."""

import asyncio
from typing import Annotated

import typer

from agent.cli.options import AllowHost, Config, Db, Json, Root, System, Tools, TraceId, Uid


def fork(
    trace_id: TraceId,
    at: Annotated[int, typer.Option("--at", min=0, metavar="SEQ", help="The last step that is inherited.")],
    task: Annotated[str | None, typer.Option("--task", metavar="TEXT", help="Another task.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Another model.")] = None,
    system: System = None,
    tool: Tools = None,
    root: Root = None,
    allow_host: AllowHost = None,
    is_without_memory: Annotated[bool, typer.Option("--no-memory", help="Without what memory gave.")] = False,
    without: Annotated[list[str] | None, typer.Option("--exclude-memory", metavar="ID", help="Without this experience or skill; repeat for more.")] = None,
    result: Annotated[
        list[str] | None, typer.Option("--result", metavar="STEP=VALUE", help="What the model is told in place of a tool's result; repeat for more.")
    ] = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Make a run that goes on from a step of another, with what is given here changed, and print its id.

    Nothing is copied, and nothing runs until `seasoned resume`. An unsafe call that the other run made after that step is asked
    about before it is made again.
    """
    from agent.cli.casting import Given
    from agent.cli.forking import Changes, fork_run
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.running import Job

    project = load_project(config)
    given = Given(model=model, system=system, tools=tool, root=root, hosts=allow_host)
    job = Job(place=place_of(project, db, uid), project=project, given=given, is_json=is_json)
    asyncio.run(fork_run(job, trace_id, at, Changes(task=task, is_without_memory=is_without_memory, without=without, results=result)))


def replay(trace_id: TraceId, db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """Drive a recorded run once more from its log, without model and tools, and say whether it decides the same. Exit code 1 if not."""
    from agent.cli.forking import replay_run
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    raise typer.Exit(asyncio.run(replay_run(place_of(load_project(config), db, uid), trace_id, is_json=is_json)))
