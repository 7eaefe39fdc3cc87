"""`seasoned chat`: a conversation, each line a run."""

from typing import Annotated

import typer

from agent.cli.options import AgentName, AllowHost, Config, Db, Json, Limits, MaxIterations, Memory, Model, Policies, Root, System, Taint, Tools, Uid


def chat(
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
    conversation: Annotated[str | None, typer.Option("--conversation", metavar="ID", help="Go on with a conversation. [default: a new one]")] = None,
    memory: Memory = None,
    db: Db = None,
    uid: Uid = None,
    config: Config = None,
    is_json: Json = False,
) -> None:
    """Talk with an agent. Each line is a run that goes on from the one before; /id tells the conversation's id, /quit leaves."""
    from agent.cli.casting import Given
    from agent.cli.chatting import hold_chat
    from agent.cli.limiting import limits_of
    from agent.cli.place import place_of
    from agent.cli.project_file import load_project
    from agent.cli.running import Job
    from agent.ids import new_id

    project = load_project(config)
    given = Given(
        agent=agent,
        model=model,
        system=system,
        tools=tool,
        root=root,
        hosts=allow_host,
        max_iterations=max_iterations,
        limits=limits_of(limit),
        memory=memory,
        policies=policy,
        taint=taint,
    )
    job = Job(place=place_of(project, db, uid), project=project, given=given, conversation=conversation or new_id(), is_json=is_json)
    raise typer.Exit(hold_chat(job))
