"""A run as one JSON document that needs nothing else, and back into a store."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.assemble import open_store
from agent.cli.outlet import say, say_json, tell, write
from agent.cli.place import Place, find_trace, opened, place_options
from agent.errors import BadInput, StoreUnusable
from agent.storage.exported import check_same, of_plain, to_plain
from agent.storage.portable import Carried, TraceCarrier, gather
from agent.storage.protocols import Store

EXPORT_FORMAT = 3
"""3: what a run says of itself beside its steps is sealed too."""
MAX_FILE_BYTES = 500_000_000
"""Of an export that is read."""


async def export_run(place: Place, wanted: str, output: Path | None, *, is_lean: bool = False) -> None:
    """Write the trace, its steps with all that was left out on disk restored, and the log: what an import needs.

    Raises:
        BadInput: the file exists.
        StoreUnusable: it cannot be written.
    """
    async with opened(place) as store:
        trace = await find_trace(store.traces, wanted, place.uid)
        carried = await gather(store.traces, trace.trace_id)
        document = {"format": EXPORT_FORMAT, **await _told(store, carried, trace.trace_id, is_lean=is_lean), "log": [to_plain(one) for one in carried]}
    text = json.dumps(document, ensure_ascii=False, indent=None if is_lean else 2, default=str) + "\n"
    if output is None:
        write(sys.stdout, text)
        return
    try:
        with output.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except FileExistsError:
        raise BadInput(f"{str(output)!r} exists: choose a new name, nothing is overwritten") from None
    except OSError as error:
        raise StoreUnusable(f"{str(output)!r} cannot be written ({error.strerror}): choose another place") from None
    more = f", with {len(carried) - 1} runs that it rests on," if len(carried) > 1 else ""
    tell(f"run {trace.trace_id}{more} written to {output}; its head is {document['head']}")


async def _told(store: Store, carried: Sequence[Carried], wanted: str, *, is_lean: bool) -> dict[str, Any]:
    """Return what an export tells to who reads it: the run that was asked for, its head, and its steps with all that the model saw."""
    one = next(one for one in carried if one.trace.trace_id == wanted)
    last = max((row[0] for row in one.rows), default=one.trace.fork_at or 0)  # it may go on meanwhile
    steps = [] if is_lean else [step.to_dict() for step in await store.traces.get_trace_steps(wanted) if step.sequence <= last]
    return {"trace": one.trace.to_dict(), "head": one.head, "steps": json.loads(json.dumps(steps, default=str))}


async def _check_told(document: Mapping[str, Any], carried: Sequence[Carried]) -> None:
    """Refuse an export that tells something else than its log holds, as a store that is gone afterwards reads it.

    Raises:
        BadInput: names the part.
    """
    wanted, steps = document["trace"].get("trace_id"), document.get("steps")
    if not any(one.trace.trace_id == wanted for one in carried):
        raise BadInput(f"the export was changed: 'trace_id' of its trace is {wanted!r:.100}, of which its log has nothing")
    async with open_store("memory://") as trial:
        if steps != []:
            assert isinstance(trial.traces, TraceCarrier)
            await trial.traces.load(carried, uid=None)
        right = await _told(trial, carried, wanted, is_lean=steps == [])
    check_same(document["trace"], right["trace"], "its trace")
    if isinstance(steps, list):
        for number, (given, step) in enumerate(zip(steps, right["steps"], strict=False)):
            check_same(given, step, f"its step {number}")
    check_same({**document, "log": None}, {"format": EXPORT_FORMAT, **right, "log": None}, "the document")


async def import_runs(place: Place, source: str, *, is_json: bool) -> None:
    """Take the runs of an export into the store; nothing of them runs by that.

    Raises:
        BadInput: the file is no export, was changed, or is another uid's. Nothing was taken in.
        TraceExists: a run has the id of another one here.
    """
    document = _document(source)
    carried = of_plain(document["log"])
    await _check_told(document, carried)
    async with opened(place, may_make=True) as store:
        if not isinstance(store.traces, TraceCarrier):
            raise BadInput(f"{place.url!r} cannot take runs in: use a store such as sqlite:///runs.db")
        new = await store.traces.load(carried, uid=place.uid)
    if is_json:
        say_json({"trace_id": document["trace"]["trace_id"], "taken_in": new})
        return
    for trace_id in new:
        say(trace_id)
    tell(f"{len(new)} of {len(carried)} runs were taken in{'' if new else ': all were here already'}; none of them goes on by itself")
    if new:
        options = place_options(place) or ""
        tell(f"  seasoned runs show {new[-1]}{options}\n  seasoned replay {new[-1]}{options}")


def _document(source: str) -> dict[str, Any]:
    """Return the document in a file, or on stdin for `-`."""
    try:
        if source == "-":
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{source!r} cannot be read ({error.strerror}): name the file that `seasoned runs export` wrote") from None
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(f"{source!r} has more than {MAX_FILE_BYTES:,} bytes: export fewer runs at once, or use --lean")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or type(document.get("format")) is not int or not isinstance(document.get("trace"), dict):
        raise BadInput(f"{source!r} is no export of a run: name a file that `seasoned runs export` wrote")
    if document["format"] > EXPORT_FORMAT:
        raise BadInput(f"{source!r} has format {document['format']}, known up to {EXPORT_FORMAT}: install a newer seasoned")
    if document["format"] < EXPORT_FORMAT or "log" not in document:
        raise BadInput(f"{source!r} has format {document['format']}, from which no run can be made again: export it anew with this version")
    return document
