"""What must hold between one life of a scenario and the next: the log and the journal compared. Each breach is a sentence."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.assemble import open_store
from agent.core.calls import calls_of
from agent.core.fold import advance, history, start
from agent.errors import AgentError
from agent.models.memory import Experience
from agent.models.trace import Step, Trace
from agent.models.value import Value
from agent.testing.crash import Journal
from agent.testing.provider_shapes import shape_faults
from agent.testing.stage import AGENT, OWN, fingerprint

Call = tuple[str, str]
"""A trace's id and a call's."""


class Snapshot(Value, frozen=True, kw_only=True):
    """All that is known at one moment, between two lives."""

    traces: list[Trace] = []
    steps: dict[str, list[Step]] = {}  # by trace, as recorded, with what a fork inherits
    asked: list[str] = []  # fingerprints of the prompts of recorded model calls
    journal: list[list[str]] = []
    states: list[tuple[str, Any, int]] = []
    memories: list[tuple[str, str]] = []
    faults: list[str] = []  # what the store itself complained of

    def own(self) -> Iterator[Step]:
        """Yield every step once, trace by trace in order."""
        return (step for trace_id, steps in self.steps.items() for step in steps if step.trace_id == trace_id)

    def calls(self, step_type: str) -> list[Call]:
        """Return the calls that steps of a type are about, in order."""
        return [(step.trace_id, str(step.data.get("call_id"))) for step in self.own() if step.step_type == step_type]

    def lines(self, kind: str) -> list[Call]:
        """Return the calls that the journal's lines of a kind are about, in order."""
        return [(words[1], words[2]) for words in self.journal if words[0] == kind]

    def tools(self) -> Mapping[Call, str]:
        """Return the tool of every call that a model asked for."""
        found: dict[Call, str] = {}
        for trace_id, steps in self.steps.items():
            state = start()
            for step in steps:
                state = advance(state, step)
                found |= {(trace_id, call.call.call_id): call.call.name for call in state.turn}
                if step.step_type == "llm_call":
                    found |= {(trace_id, call.call_id): call.name for call in calls_of(step.data.get("tool_calls"), step.sequence, frozenset())}
        return found

    def result(self) -> dict[str, Any]:
        """Return how it ended, as far as it must not depend on where it was killed."""
        return {
            "runs": sorted([trace.task or "", trace.status] for trace in self.traces),
            "states": [list(state) for state in self.states],
            "memories": sorted(list(memory) for memory in self.memories),
        }


async def take(folder: Path, url: str) -> Snapshot:
    """Return what is on the disk now."""
    journal = Journal(folder / "journal").lines()
    steps: dict[str, list[Step]] = {}
    faults: list[str] = []
    asked: list[str] = []
    async with open_store(url) as store:
        traces = await store.traces.list_traces()
        for trace in traces:
            whole = await store.traces.get_trace_steps(trace.trace_id)
            asked += [fingerprint(step.data["messages"]) for step in whole if step.step_type == "llm_call" and step.trace_id == trace.trace_id]
            steps[trace.trace_id] = await store.traces.read_steps(trace.trace_id)
            faults += await _verified(store.traces.verify(trace.trace_id))
        faults += await _verified(store.memories.verify())
        states = [(entry.key, entry.value, entry.version) for entry in await _all_states(store, traces)]
        memories = [(item.condition, item.rule) for item in await store.memories.list() if isinstance(item, Experience)]
    return Snapshot(traces=traces, steps=steps, asked=asked, journal=journal, states=states, memories=memories, faults=faults)


async def _all_states(store: Any, traces: list[Trace]) -> list[Any]:
    owners = {None} | {trace.uid for trace in traces}
    return [entry for uid in sorted(owners, key=str) for entry in await store.states.list(uid=uid)]


async def _verified(checking: Any) -> list[str]:
    try:
        await checking
    except AgentError as error:
        return [f"the chain does not hold: {error}"]
    return []


def breaches(before: Snapshot, after: Snapshot, effects: Mapping[str, str], *, was_killed: bool) -> Iterator[str]:
    """Yield what went wrong in the life between two moments. `effects` are those of the tools, by name."""
    yield from after.faults
    yield from _record(before, after)
    yield from _models(before, after, was_killed=was_killed)
    yield from _tools(before, after, effects)
    if not was_killed:
        yield from _doubts(before, after, effects)


def _record(before: Snapshot, after: Snapshot) -> Iterator[str]:
    for trace_id, steps in after.steps.items():
        if [step.sequence for step in steps] != list(range(len(steps))):
            yield f"trace {trace_id} has a gap"
        state = start()
        for step in steps:
            state = advance(state, step)
            if faults := shape_faults(history(state)):
                yield f"the history of trace {trace_id} after step {step.sequence} is one that a provider refuses: {faults[0]}"
                break
    for trace_id, steps in before.steps.items():
        if _as_bytes(after.steps.get(trace_id, [])[: len(steps)]) != _as_bytes(steps):
            yield f"the record of trace {trace_id} was changed: what was there before the crash is not there as it was"
    there = {(step.trace_id, str(step.sequence)) for step in after.own()}
    for trace_id, sequence in sorted(set(after.lines("told")) - there):
        yield f"step {sequence} of trace {trace_id} was shown to a reader, and is not on the record"


def _as_bytes(steps: list[Step]) -> bytes:
    return msgspec.msgpack.encode(steps, enc_hook=repr)


def _models(before: Snapshot, after: Snapshot, *, was_killed: bool) -> Iterator[str]:
    asked = Counter(words[1] for words in after.journal[len(before.journal) :] if words[0] == "asked")
    recorded = Counter(after.asked)
    recorded.subtract(before.asked)
    for prompt, times in asked.items():
        if prompt in after.asked and times > recorded[prompt] + was_killed:  # one may have been under way
            yield f"a recorded model call was made again (prompt {prompt})"


def _tools(before: Snapshot, after: Snapshot, effects: Mapping[str, str]) -> Iterator[str]:
    tools, before_lines = after.tools(), before.lines("began")
    began, all_began = after.lines("began")[len(before_lines) :], Counter(after.lines("began"))
    started, settled = set(after.calls("tool_started")), set(before.calls("tool_call"))
    allowed = Counter((step.trace_id, str(step.data.get("call_id"))) for step in after.own() if _lets_run_again(step))
    for call in sorted(set(began)):
        name = f"{tools.get(call, 'a tool')} ({call[1]} of {call[0]})"
        if call in settled:
            yield f"{name} had a result on the record, and was run again"
        if call not in started:
            yield f"{name} was run, and nothing on the record had announced it"
        if effects.get(tools.get(call, ""), "unsafe") == "unsafe" and all_began[call] > 1 + allowed[call]:
            yield f"{name} is unsafe, and was run again by itself"
    keys: dict[str, Call] = {}
    of_call: dict[Call, str] = {}
    for words in after.journal:
        if words[0] == "began":
            call, key = (words[1], words[2]), words[3]
            if keys.setdefault(key, call) != call:
                yield f"two calls have the same idempotency key {key}: {keys[key][1]} and {call[1]} of {call[0]}"
            if of_call.setdefault(call, key) != key:
                yield f"call {call[1]} of {call[0]} changed its idempotency key from {of_call[call]} to {key}"


def _cut_off(moment: Snapshot) -> set[Call]:
    """Return the calls that had begun, and whose end nobody had told."""
    last: dict[Call, str] = {}
    for step in moment.own():
        if step.step_type in ("tool_started", "tool_call", "in_doubt", "in_doubt_resolved"):
            last[step.trace_id, str(step.data.get("call_id"))] = step.step_type
    return {call for call, kind in last.items() if kind in ("tool_started", "in_doubt")}


def _lets_run_again(step: Step) -> bool:
    return step.step_type == "in_doubt_resolved" and step.data.get("outcome") in ("retry", "not_done")


def _doubts(before: Snapshot, after: Snapshot, effects: Mapping[str, str]) -> Iterator[str]:
    """Of a life that came to its end: what the crash before it left unknown was shown to a person, and nothing else was."""
    tools, live = before.tools(), {trace.trace_id for trace in before.traces if trace.status == "running"}
    unknown = {call for call in _cut_off(before) if effects.get(tools.get(call, ""), "unsafe") == "unsafe" and call[0] in live}
    shown, doubted = set(after.lines("pending")), set(after.calls("in_doubt"))
    for call in unknown - doubted:
        if call not in set(after.calls("in_doubt_resolved")):  # a probe knew
            yield f"nobody knows what became of {tools.get(call)} ({call[1]} of {call[0]}), and no step says so"
    for call in doubted - shown - set(before.calls("in_doubt")):
        yield f"call {call[1]} of {call[0]} is in doubt, and was not in pending()"
    for call in set(after.calls("in_doubt")) - set(before.calls("in_doubt")) - unknown:
        yield f"call {call[1]} of {call[0]} is in doubt, though it is known what became of it"


def losses(first: Mapping[str, Any], last: Snapshot, effects: Mapping[str, str]) -> Iterator[str]:
    """Yield what differs at the end from the undisturbed run: `first` is its result."""
    result = json.loads(json.dumps(last.result(), default=str))
    for what, wanted in first.items():
        if result[what] != wanted:
            yield f"{what}: {result[what]!r:.300} in the end, and without a crash {wanted!r:.300}"
    tools, ended = last.tools(), Counter(last.lines("ended"))
    given_up = set(last.calls("in_doubt_resolved"))
    for step in last.own():
        call = (step.trace_id, str(step.data.get("call_id")))
        if (
            step.step_type == "tool_call"
            and step.data.get("is_ok", True)
            and step.data.get("is_executed", True)
            and not ended[call]
            and effects.get(tools.get(call, "")) not in (AGENT, OWN)
        ):
            yield f"{tools.get(call)} ({call[1]} of {call[0]}) has a result on the record, and never ran to its end"
    for call, times in ended.items():
        if times > 1 and effects.get(tools.get(call, ""), "unsafe") == "unsafe" and call not in given_up:
            yield f"{tools.get(call)} ({call[1]} of {call[0]}) is unsafe and took effect {times} times"


def save(snapshot: Snapshot, path: Path) -> None:
    """Keep a snapshot for the next life."""
    path.write_bytes(msgspec.msgpack.encode(snapshot, enc_hook=repr))


def load(path: Path) -> Snapshot:
    """Return the snapshot of the last life; an empty one before the first."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot) if path.exists() else Snapshot()
