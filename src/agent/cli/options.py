"""The options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Db = Annotated[
    str | None, typer.Option("--db", envvar="SEASONED_DB", metavar="URL", help="The store, such as sqlite:///runs.db. [default: .seasoned/runs.db here]")
]
Uid = Annotated[str | None, typer.Option("--uid", envvar="SEASONED_UID", help="Whose runs: another uid's are as if they were not there. [default: anonymous]")]
Config = Annotated[
    Path | None, typer.Option("--config", envvar="SEASONED_CONFIG", metavar="FILE", help="A seasoned.toml. [default: the nearest, from here upwards]")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, one value a line.")]
TraceId = Annotated[str, typer.Argument(metavar="ID", help="The run's id, a beginning of it that only one run has, or 'last'.")]
AgentName = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="An agent of seasoned.toml.")]
Model = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="provider:model, local, a chain a,b, an alias of seasoned.toml, or scripted:FILE.json.")
]
System = Annotated[str | None, typer.Option("--system", metavar="TEXT", help="The system prompt.")]
Tools = Annotated[
    list[str] | None,
    typer.Option("--tool", "--tools", metavar="NAMES", help="Tools to offer: built-in names and module:registry of your own; repeat, or use commas."),
]
Policies = Annotated[
    list[str] | None,
    typer.Option("--policy", metavar="MODULE:FUNCTION", help="A function that is asked before every call, besides those of seasoned.toml; repeat for more."),
]
Taint = Annotated[
    Literal["off", "warn", "ask"] | None, typer.Option("--taint", help="What an unsafe call meets after untrusted content: off, warn or ask. [default: off]")
]
Root = Annotated[Path | None, typer.Option("--root", metavar="DIR", help="The folder below which read_file and list_files may read.")]
AllowHost = Annotated[list[str] | None, typer.Option("--allow-host", metavar="HOST", help="A host that http_get may fetch from; repeat for more.")]
MaxIterations = Annotated[int | None, typer.Option("--max-iterations", min=0, metavar="N", help="Model calls at most. [default: 10]")]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=VALUE",
        help="A limit on the run, such as max_cost=0.5, max_total_tokens=20000, max_tool_calls=5 or max_wall_s=60; repeat for more.",
    ),
]
OutputSchema = Annotated[
    Path | None, typer.Option("--output-schema", metavar="FILE", help="A JSON schema that the answer must fit; stdout is then that JSON alone.")
]
Pin = Annotated[list[str] | None, typer.Option("--pin", metavar="ID", help="An experience or skill that the run is told in any case; repeat for more.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", metavar="ID", help="An item of memory that the run is not told; repeat for more.")]
Memory = Annotated[bool | None, typer.Option("--memory/--no-memory", help="Whether the run reads what was learnt. [default: yes]")]
