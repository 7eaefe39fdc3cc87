"""`seasoned eval`: what memory is worth on tasks of your own."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import AgentName, AllowHost, Config, Db, Json, MaxIterations, Model, Policies, Root, System, Tools, Uid

app = typer.Typer(help="What memory is worth on tasks of your own: with and without it, by pairs.", no_args_is_help=True, rich_markup_mode=None)
Output = Annotated[
    list[Path] | None, typer.Option("--output", "-o", metavar="FILE", help="Also write the report here: .html, .json, else Markdown; repeat for more.")
]


@app.callback()
def _eval() -> None:
    """What memory is worth on tasks of your own: with and without it, by pairs."""


@app.command("run")
def run(
    tasks: Annotated[Path, typer.Argument(metavar="TASKS", help="A file of tasks with a scorer: .jsonl, .json or .yaml.")],
    arms: Annotated[str, typer.Option("--arms", metavar="NAMES", help="Any of none, memory, placebo and random, with commas.")] = "none,memory",
    seeds: Annotated[int, typer.Option("--seeds", min=1, metavar="N", help="How many orders of the tasks; each with a memory of its own.")] = 1,
    model: Model = None,
    judge: Annotated[str | None, typer.Option("--judge", metavar="MODEL", help="Who grades where the scorer is judge. [default: the model itself]")] = None,
    corrections: Annotated[
        float, typer.Option("--corrections", min=0, max=1, metavar="SHARE", help="Of wrong answers, how many are corrected, where the set says how.")
    ] = 1.0,
    parallel: Annotated[int, typer.Option("--parallel", min=1, metavar="N", help="Streams of tasks at once; tasks of one follow each other.")] = 2,
    system: System = None,
    tool: Tools = None,
    root: Root = None,
    allow_host: AllowHost = None,
    policy: Policies = None,
    agent: AgentName = None,
    max_iterations: MaxIterations = None,
    may_use_effects: Annotated[bool, typer.Option("--allow-effects", help="Let tools that change things be called, once for every run.")] = False,
    gives_seed: Annotated[bool, typer.Option("--model-seed/--no-model-seed", help="Whether the model is given the seed of its task.")] = True,
    output: Output = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Run every task in every arm with every seed, and print a report. Killed or stopped, the same command goes on where it was.

    Each arm and seed has a memory of its own, that begins empty but for what is shared by all uids.
    """
    from agent.cli.casting import Given
    from agent.cli.evaluating import EvalAsked, run_eval
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    project = load_project(config)
    given = Given(agent=agent, model=model, system=system, tools=tool, root=root, hosts=allow_host, max_iterations=max_iterations, policies=policy)
    asked = EvalAsked(
        file=tasks,
        arms=tuple(name.strip() for name in arms.split(",") if name.strip()),
        seeds=seeds,
        judge=judge,
        corrections=corrections,
        parallel=parallel,
        may_use_effects=may_use_effects,
        gives_seed=gives_seed,
        outputs=tuple(output or ()),
        is_json=is_json,
    )
    asyncio.run(run_eval(place_of(project, db, uid), project, given, asked))


@app.command("report")
def report(
    eval_id: Annotated[str, typer.Argument(metavar="ID", help="The eval's id, a beginning of it, or 'last'.")] = "last",
    output: Output = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Print what is known of an eval so far, as Markdown."""
    from agent.cli.evaluating import report_eval
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(report_eval(place_of(load_project(config), db, uid), eval_id, outputs=tuple(output or ()), is_json=is_json))


@app.command("ls")
def ls(db: Db = None, uid: Uid = None, config: Config = None, is_json: Json = False) -> None:
    """List the evals, newest first."""
    from agent.cli.evaluating import list_evals
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project

    asyncio.run(list_evals(place_of(load_project(config), db, uid), is_json=is_json))
