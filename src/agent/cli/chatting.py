"""A conversation: each line a run that goes on from the one before."""

import asyncio
import sys

from agent.cli.casting import Cast, cast_of, folders_of
from agent.cli.endings import DONE, code_of, sentence_of
from agent.cli.loading import Loading
from agent.cli.model_choice import Choice, choose_model
from agent.cli.outlet import tell, write
from agent.cli.place import opened
from agent.cli.running import Job, resume_run, run_once
from agent.cli.skill_folders import bring_skills
from agent.cli.sub_agents import open_with_agents
from agent.cli.toolbox import Toolbox
from agent.errors import AgentError
from agent.models.trace import ENDED

HELP = "/resume goes on with a run that rests, /id tells the conversation's id, /quit leaves (so does Ctrl-D); Ctrl-C pauses a run that is going on"
MAX_LINE_CHARS = 1_000_000
ENOUGH_INTERRUPTS = 2  # Ctrl-C so often in a row, with nothing going on, leaves


class Chat:
    """A conversation that goes on."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.cast: Cast = cast_of(job.given, job.project)
        self.toolbox: Toolbox = open_with_agents(self.cast.wanted, job.project, folders_of(job.project))
        self.choice: Choice = choose_model(self.cast.model, job.project, progress=Loading() if not job.is_json else None)
        self.code = DONE

    async def say(self, line: str) -> None:
        """Run one line, or obey it where it begins with a stroke; an error is told, and the conversation goes on."""
        try:
            if line == "/resume":
                await self._resume()
            elif line == "/id":
                tell(str(self.job.conversation))
            elif line.startswith("/"):
                tell(HELP)
            else:
                async with opened(self.job.place, may_make=True) as store:
                    await bring_skills(store.memories, self.job.project, is_wanted=self.cast.memory)
                    self.code = await run_once(self.job, store, self.cast, self.toolbox, self.choice, line, is_quiet=True)
        except AgentError as error:
            tell(f"error: {sentence_of(error)}")
            self.code = code_of(error)

    async def _resume(self) -> None:
        async with opened(self.job.place) as store:
            found = await store.traces.list_traces(uid=self.job.place.uid, conversation_id=self.job.conversation, limit=1)
        if not found or found[0].status in ENDED - {"failed", "limit_reached"}:
            tell("nothing of this conversation rests: say something")
            return
        self.code = await resume_run(self.job, found[0].trace_id)


def hold_chat(job: Job) -> int:
    """Read lines and run them until there are no more; return the exit code of the last run."""
    chat, is_asking = Chat(job), sys.stdin.isatty()
    if is_asking:
        import readline  # noqa: F401  # gives input() its history and editing

        tell(f"model {chat.choice.name} · conversation {job.conversation} · {HELP}")
        if chat.choice.note is not None:
            tell(chat.choice.note)
    interrupts = 0
    with asyncio.Runner() as loop:
        while interrupts < ENOUGH_INTERRUPTS:
            try:
                line = _next_line(is_asking=is_asking)
                if line is None or line in ("/quit", "/exit"):
                    break
                interrupts = 0
                if line:
                    loop.run(chat.say(line))
            except KeyboardInterrupt:
                interrupts += 1
                write(sys.stderr, "\n(Ctrl-C again, Ctrl-D or /quit leaves)\n" if interrupts < ENOUGH_INTERRUPTS else "\n")
    return chat.code


def _next_line(*, is_asking: bool) -> str | None:
    """Return the next line; None at the end."""
    if not is_asking:
        line = sys.stdin.readline(MAX_LINE_CHARS)
        return line.strip() if line else None
    try:
        return input(_prompt()).strip()
    except EOFError:
        return None


def _prompt() -> str:
    """Return the prompt; where stdout is for results alone, it is written to stderr."""
    if sys.stdout.isatty():
        return "> "
    write(sys.stderr, "> ")
    return ""
