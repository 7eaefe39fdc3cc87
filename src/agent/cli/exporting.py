"""A run as one JSON document that needs nothing else."""

import json
import sys
from pathlib import Path
from typing import Any

from agent.cli.outlet import tell, write
from agent.cli.place import Place, find_trace, opened
from agent.errors import BadInput, StoreUnusable

EXPORT_FORMAT = 1


async def export_run(place: Place, wanted: str, output: Path | None) -> None:
    """Write the trace and its steps, with all that was left out on disk restored.

    Raises:
        BadInput: the file exists.
        StoreUnusable: it cannot be written.
    """
    async with opened(place) as store:
        trace = await find_trace(store.traces, wanted, place.uid)
        steps = await store.traces.get_trace_steps(trace.trace_id, uid=place.uid)
    document: dict[str, Any] = {"format": EXPORT_FORMAT, "trace": trace.to_dict(), "steps": [step.to_dict() for step in steps]}
    text = json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n"
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
    tell(f"{len(steps)} steps written to {output}")
