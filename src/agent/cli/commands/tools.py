"""`seasoned tools`: what can be offered to a model."""

from typing import Annotated

import typer

from agent.cli.options import Config, Json

app = typer.Typer(help="The tools that can be offered.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _tools() -> None:
    """The tools that can be offered."""


@app.command("ls")
def ls(
    tool: Annotated[list[str] | None, typer.Option("--tool", "--tools", metavar="NAMES", help="Also those of module:registry; repeat for more.")] = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """List the built-in tools, and your own from seasoned.toml and --tools."""
    from agent.cli.project_file import load_project
    from agent.cli.tool_list import list_tools

    list_tools(load_project(config), tool, is_json=is_json)
