"""A recorded run driven once more, without its model and tools."""

from agent.core.prompt import continues_of
from agent.core.replay import Replay, replay
from agent.engine.engine import Engine
from agent.errors import BadInput, StoreUnusable, TraceNotFound
from agent.storage.protocols import TraceLog


async def replay_run(engine: Engine, trace_id: str, *, uid: str | None) -> Replay:
    """Return whether what a run decided follows from its log; a log that cannot be read does not.

    Raises:
        TraceNotFound: there is none.
    """
    store = engine.store
    trace = await store.get_trace(trace_id) if store is not None else None
    if store is None or trace is None or (uid is not None and trace.uid != uid):
        raise TraceNotFound(trace_id, "" if store is not None else "without a trace store nothing is recorded")
    inherited = None
    try:
        if isinstance(store, TraceLog):
            steps = await store.read_steps(trace_id)
            inherited = await engine.conversations.messages(store, continues_of(steps))
        else:
            steps = await store.get_trace_steps(trace_id)
    except (StoreUnusable, BadInput) as error:
        return Replay(trace_id=trace_id, identical=False, steps=0, reason=str(error))
    return replay(trace, steps, inherited)
