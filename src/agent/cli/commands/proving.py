"""`seasoned memory prove`: what past runs would have done with an item, and without it."""

import asyncio
from typing import Annotated

import typer

from agent.cli.options import Config, Db, Json, Model, Uid


def prove(
    item_id: Annotated[str, typer.Argument(metavar="ID", help="An experience: its id, a beginning of it that only one has, or 'last'.")],
    runs: Annotated[int, typer.Option("--runs", min=1, max=100, metavar="N", help="How many past runs are looked into, the newest first.")] = 5,
    run: Annotated[list[str] | None, typer.Option("--run", metavar="ID", help="This past run instead; repeat for more.")] = None,
    model: Model = None,
    judge: Annotated[str | None, typer.Option("--judge", metavar="MODEL", help="Who grades both answers. [default: the model itself]")] = None,
    scorer: Annotated[
        str | None, typer.Option("--scorer", metavar="MODULE:FUNCTION", help="A function of your own that grades, as for `seasoned eval`, instead.")
    ] = None,
    rubric: Annotated[str, typer.Option("--rubric", metavar="TEXT", help="What the judge is to grade by.")] = "",
    has_judge: Annotated[bool, typer.Option("--grade/--no-grade", help="Whether the answers are graded at all.")] = True,
    activates: Annotated[bool, typer.Option("--activate", help="Then make it active, if it is in the shadow: later runs are told it.")] = False,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who makes it active.")] = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Run past runs once more from where they read memory, with an item and without it, and show what is otherwise.

    Tools stand still: a call that the past run made has its recorded result, any other is not made.
    """
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.proof import ProofAsked, prove_item

    project = load_project(config)
    asked = ProofAsked(
        item_id=item_id,
        runs=runs,
        only=tuple(run or ()),
        model=model,
        judge=judge,
        scorer=scorer,
        rubric=rubric,
        has_judge=has_judge,
        activates=activates,
        by=by,
        is_json=is_json,
    )
    asyncio.run(prove_item(place_of(project, db, uid), project, asked))
