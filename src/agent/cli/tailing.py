"""Following a run that another process drives."""

from agent.cli.faces import face_of
from agent.cli.outlet import tell
from agent.cli.place import Place, find_trace, opened, place_options
from agent.cli.running import Shown, follow
from agent.runner import AgentRunner


async def tail_run(place: Place, wanted: str, *, after: int, is_json: bool) -> int:
    """Show a run from step `after` on until it rests; return its exit code."""
    async with opened(place) as store, AgentRunner(store.traces) as runner:
        trace = await find_trace(store.traces, wanted, place.uid)
        face = face_of(is_json=is_json)
        face.board.is_timed = False
        code = await follow(
            runner, runner.watch(trace.trace_id, after, uid=place.uid), Shown(face=face, uid=place.uid, options=place_options(place), may_pause=False)
        )
        if face.board.ending is None:
            head = await store.traces.head(trace.trace_id)
            if head.trace.status == "running" and not head.owner_is_alive:
                tell(f"the process that drove the run is gone; go on with:\n  seasoned resume {trace.trace_id}{place_options(place) or ''}")
        return code
