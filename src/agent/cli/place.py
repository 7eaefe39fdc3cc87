"""Where the record is kept: the store's URL, its folder, and finding one run in it."""

import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.assemble import open_store, sqlite_path
from agent.cli.project_file import Project
from agent.config import ANONYMOUS
from agent.errors import BadInput, StoreUnusable, TraceNotFound
from agent.models.trace import Trace, is_subrun, proof_of
from agent.models.value import Value
from agent.storage.protocols import Store, TraceLog

DEFAULT_FOLDER = ".seasoned"
DEFAULT_DB = f"sqlite:///{DEFAULT_FOLDER}/runs.db"
LAST = "last"
NEWEST_AT_ONCE = 20  # runs read at once while the newest is looked for
PAGE = 500  # runs read at once while one is looked for by the beginning of its id


class Place(Value, frozen=True):
    """A store, and whose runs in it."""

    url: str
    uid: str = ANONYMOUS
    config: str | None = None  # the file of settings that was named

    @property
    def file(self) -> Path | None:
        """The store's file; None where it is kept in memory."""
        return sqlite_path(self.url) if self.url.startswith("sqlite:///") else None


def place_of(project: Project, db: str | None, uid: str | None) -> Place:
    """Return where to look: what was given, else what the file of settings says, else the folder's own store and `anonymous`.

    Raises:
        BadInput: the uid is empty.
    """
    url = db or DEFAULT_DB
    if not db and project.top.db:
        url = project.top.db
        file = sqlite_path(url) if url.startswith("sqlite:///") else None
        if file is not None and not file.is_absolute():
            url = f"sqlite:///{_quoted(project.folder / file)}"
    owner = uid if uid is not None else project.top.uid or ANONYMOUS
    if not owner.strip():
        raise BadInput(f"the uid is empty: leave --uid and SEASONED_UID out to be {ANONYMOUS!r}, or give a name")
    return Place(url, owner, str(project.file) if project.is_named else None)


def place_options(place: Place) -> str | None:
    """Return the options that a next command needs to find this store again; None for a store in memory."""
    if place.file is None:
        return None
    parts = ([] if place.url == DEFAULT_DB else ["--db", place.url]) + ([] if place.uid == ANONYMOUS else ["--uid", place.uid])
    parts += [] if place.config is None else ["--config", place.config]
    return (" " + shlex.join(parts)) if parts else ""


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3F")


@asynccontextmanager
async def opened(place: Place, *, may_make: bool = False) -> AsyncIterator[Store]:
    """Open the store, and close it; a new one is made only where `may_make`.

    Raises:
        StoreUnusable: there is none yet.
        BadInput, StoreError: it cannot be opened.
    """
    file = place.file
    if file is not None and not file.exists():
        if not may_make:
            raise StoreUnusable(f"there is no store {str(file)!r} yet: `seasoned run` makes it; --db or SEASONED_DB names another")
        _make_folder(place)
    async with open_store(place.url) as store:
        yield store


def _make_folder(place: Place) -> None:
    """Make the folder of the default store, for its owner alone and out of version control; any other folder must be there."""
    if place.url != DEFAULT_DB:
        return
    folder = Path(DEFAULT_FOLDER)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise StoreUnusable(f"the folder {str(folder.absolute())!r} for the store cannot be made ({error.strerror}): name a store with --db") from None


async def find_trace(log: TraceLog, wanted: str, uid: str) -> Trace:
    """Return the run with this id, with an id that begins so, or with `last` the newest.

    Raises:
        TraceNotFound: there is none.
        BadInput: several begin so.
    """
    if wanted == LAST:
        newest = await _newest(log, uid)
        if newest is None:
            raise TraceNotFound(LAST, f"{uid!r} has no run in this store yet")
        return newest
    trace = await log.get_trace(wanted, uid=uid)
    if trace is not None:
        return trace
    found = await _beginning_with(log, wanted.lower(), uid) if wanted.strip() else []
    if not found:
        raise TraceNotFound(wanted, "`seasoned runs ls` lists them; --db names another store, --uid another owner")
    if len(found) > 1:
        raise BadInput(f"several runs begin with {wanted!r}: {', '.join(trace.trace_id for trace in found[:5])}{' …' if len(found) > 5 else ''}")  # noqa: PLR2004
    return found[0]


async def _newest(log: TraceLog, uid: str) -> Trace | None:
    """Return the newest run that nobody called and that proves nothing: a sub-agent's goes on by its parent's."""
    before: str | None = None
    while page := await log.list_traces(uid=uid, limit=NEWEST_AT_ONCE, before=before):
        found = next((trace for trace in page if not is_subrun(trace) and proof_of(trace) is None), None)
        if found is not None:
            return found
        before = page[-1].trace_id
    return None


async def _beginning_with(log: TraceLog, head: str, uid: str) -> list[Trace]:
    """Return runs whose id begins with `head`; ids ascend with time, so that the search ends where they are smaller."""
    found: list[Trace] = []
    before: str | None = None
    while page := await log.list_traces(uid=uid, limit=PAGE, before=before):
        found += [trace for trace in page if trace.trace_id.startswith(head)]
        before = page[-1].trace_id
    ids = {trace.trace_id for trace in found}
    return [trace for trace in found if not is_subrun(trace) or trace.parent_trace_id not in ids]  # those below a run that is meant are not
