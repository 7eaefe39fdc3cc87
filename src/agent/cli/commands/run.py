"""`seasoned run` and `seasoned resume`."""

import asyncio
import sys
from typing import Annotated

import typer

from agent.cli.options import (
    AgentName,
    AllowHost,
    Config,
    Db,
    Exclude,
    Json,
    Limits,
    MaxIterations,
    Memory,
    Model,
    OutputSchema,
    Pin,
    Policies,
    Root,
    System,
    Taint,
    Tools,
    TraceId,
    Uid,
)
from agent.errors import BadInput

MAX_STDIN_CHARS = 10_000_000


def run(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What is to be done; '-' reads it from stdin.")],
    model: Model = None,
    system: System = None,
    tool: Tools = None,
    root: Root = None,
    allow_host: AllowHost = None,
    policy: Policies = None,
    taint: Taint = None,
    agent: AgentName = None,
    max_iterations: MaxIterations = None,
    limit: Limits = None,
    conversation: Annotated[str | None, typer.Option("--conversation", metavar="ID", help="Go on from the latest run of this conversation.")] = None,
    memory: Memory = None,
    pin: Pin = None,
    exclude: Exclude = None,
    output_schema: OutputSchema = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Run an agent on a task. The answer goes to stdout, everything else to stderr.

    Exit codes: 0 done, 1 failed, 2 usage, 3 waiting or paused, 4 cancelled, 5 limit reached.
    Ctrl-C pauses at a safe point, twice stops at once; `seasoned resume` goes on either way.
    """
    from agent.cli.casting import Given, wishes_of
    from agent.cli.limiting import limits_of
    from agent.cli.running import job_of, start_run

    given = Given(
        agent=agent,
        model=model,
        system=system,
        tools=tool,
        root=root,
        hosts=allow_host,
        max_iterations=max_iterations,
        limits=limits_of(limit),
        output_schema=output_schema,
        memory=memory,
        wishes=wishes_of(pin, exclude),
        policies=policy,
        taint=taint,
    )
    job = job_of(given, config=config, db=db, uid=uid, conversation=conversation, is_json=is_json)
    raise typer.Exit(asyncio.run(start_run(job, _task(task))))


def resume(
    trace_id: TraceId,
    take_over: Annotated[bool, typer.Option("--take-over", help="Also take over a run that another living process drives.")] = False,
    max_iterations: Annotated[int | None, typer.Option("--max-iterations", min=1, metavar="N", help="Raise the limit of model calls to N in all.")] = None,
    limit: Annotated[list[str] | None, typer.Option("--limit", metavar="NAME=VALUE", help="Raise a limit, such as max_cost=2; repeat for more.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Go on with another model. [default: the run's own]")] = None,
    tool: Tools = None,
    root: Root = None,
    allow_host: AllowHost = None,
    policy: Policies = None,
    taint: Taint = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Go on with a run that was paused, killed, stopped, failed, or reached a limit.

    Its tools, folder, hosts and model are those it began with, unless others are given.
    """
    from agent.cli.casting import Given
    from agent.cli.limiting import limits_of
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.running import Job, resume_run

    project = load_project(config)
    given = Given(model=model, tools=tool, root=root, hosts=allow_host, max_iterations=max_iterations, limits=limits_of(limit), policies=policy, taint=taint)
    job = Job(place=place_of(project, db, uid), project=project, given=given, is_json=is_json)
    raise typer.Exit(asyncio.run(resume_run(job, trace_id, take_over=take_over)))


def _task(task: str) -> str:
    if task == "-":
        task = sys.stdin.read(MAX_STDIN_CHARS + 1)
        if len(task) > MAX_STDIN_CHARS:
            raise BadInput(f"stdin holds more than {MAX_STDIN_CHARS} characters: put the material into a file that a tool reads")
    if not task.strip():
        raise BadInput('the task is empty: say what is to be done, as in seasoned run "…", or pipe it into seasoned run -')
    return task
