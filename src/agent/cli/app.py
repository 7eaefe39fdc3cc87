"""All commands, gathered; each loads what it needs when it is called."""

import os
from importlib import metadata
from typing import Annotated

import typer

from agent.cli.commands import (
    approvals,
    chat,
    database,
    distilling,
    doctor,
    evals,
    feedback,
    forking,
    memory,
    proving,
    run,
    runs,
    skills,
    step,
    stopping,
    tools,
)

app = typer.Typer(
    name="seasoned",
    help="Run LLM agents whose every step is on the record: kill them, and they go on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seasoned {metadata.version('seasoned')}")
        raise typer.Exit


@app.callback()
def _main(
    _shown: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    if debug:
        os.environ["SEASONED_DEBUG"] = "1"


app.command("run")(run.run)
app.command("chat")(chat.chat)
app.command("resume")(run.resume)
app.command("pause")(stopping.pause)
app.command("cancel")(stopping.cancel)
app.command("fork")(forking.fork)
app.command("replay")(forking.replay)
app.add_typer(runs.app, name="runs")
app.add_typer(step.app, name="step")
app.add_typer(approvals.app, name="approvals")
app.add_typer(feedback.app, name="feedback")
memory.app.command("prove")(proving.prove)
app.add_typer(memory.app, name="memory")
memory.app.command("distill")(distilling.distill)
app.add_typer(skills.app, name="skills")
app.add_typer(tools.app, name="tools")
app.add_typer(evals.app, name="eval")
app.add_typer(database.app, name="db")
app.command("doctor")(doctor.doctor)
