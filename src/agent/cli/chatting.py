"""A conversation: each line a run that goes on from the one before."""

import asyncio
import sys

from agent.cli.casting import cast_of, folders_of
from agent.cli.endings import DONE, code_of, sentence_of
from agent.cli.loading import Loading
from agent.cli.model_choice import choose_model
from agent.cli.outlet import tell
from agent.cli.place import opened
from agent.cli.running import Job, run_once
from agent.cli.toolbox import open_toolbox
from agent.errors import AgentError

HELP = "/id tells the conversation's id, /quit leaves (so does Ctrl-D); Ctrl-C pauses a run that is going on"


async def hold_chat(job: Job) -> int:
    """Read lines and run them until there are no more; return the exit code of the last run."""
    cast = cast_of(job.given, job.project)
    toolbox = open_toolbox(cast.wanted, folders_of(job.project))
    choice = choose_model(cast.model, job.project, progress=Loading() if not job.is_json else None)
    is_asking = sys.stdin.isatty()
    if is_asking:
        import readline  # noqa: F401  # gives input() its history and editing

        tell(f"conversation {job.conversation} · {HELP}")
    code = DONE
    async with opened(job.place, may_make=True) as store:
        while (line := await _next_line(is_asking=is_asking)) is not None:
            if line in ("/quit", "/exit"):
                break
            if line.startswith("/") and line.split()[0] in ("/id", "/help"):
                tell(str(job.conversation) if line.startswith("/id") else HELP)
                continue
            try:
                code = await run_once(job, store, cast, toolbox, choice, line)
            except AgentError as error:
                tell(f"error: {sentence_of(error)}")
                code = code_of(error)
    return code


async def _next_line(*, is_asking: bool) -> str | None:
    """Return the next line that is not blank; None at the end."""
    while True:
        try:
            line = await asyncio.to_thread(input, "> ") if is_asking else await asyncio.to_thread(sys.stdin.readline)
        except (EOFError, KeyboardInterrupt):
            return None
        if not is_asking and not line:
            return None
        if line.strip():
            return line.strip()
