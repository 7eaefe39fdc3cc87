"""Two runs laid beside each other as graphs: which steps they share, which changed, which only one of them has."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import agent.models.payloads as said
from agent.core.calls import calls_of, loose_arguments
from agent.core.fork_changes import Changes, Inherited, between
from agent.models.digest import canonical_hash
from agent.models.trace import Step
from agent.models.value import Value, replace

Status: TypeAlias = Literal["shared", "same", "changed", "removed", "added"]
Key: TypeAlias = tuple[str, ...]
Pair: TypeAlias = tuple[int | None, int | None]

LEFT_OUT = frozenset({"tool_started"})
"""Kinds that are no node of their own: what they announce is one."""
NAMES = {"response": "answer", "content": "answer"}
"""What a datum is called in a difference, where that is not its own name."""
PASSING = frozenset(
    {
        "took_s", "prompt_hash", "usage", "response_id", "provider_state", "prompt_tokens", "completion_tokens", "cost", "call_id", "attempt", "worker",
        "started_at", "expires_at", "reply", "messages", "args_hash", "schema_hash", "schemas", "finish_reason", "reasoning", "continues",
    }
)  # fmt: skip
"""Data that differ from run to run without anything having gone otherwise."""


class Node(Value, frozen=True, kw_only=True):
    """A step of the first run, one of the second, or one of each that stand at the same place."""

    status: Status  # shared: the very same step, which both inherit; removed: only the first run has it; added: only the second
    step_type: str
    label: str  # of a call: its tool
    a: str | None = None  # step id in the first run
    b: str | None = None
    a_sequence: int | None = None
    b_sequence: int | None = None
    arguments: Any = None  # of a call
    changes: dict[str, tuple[Any, Any]] = {}  # what is otherwise: in the first run, in the second; of a fork's first step also what the fork changed
    rests_on: list[int] = []  # places of other nodes: what this one rests on in either run


class Diff(Value, frozen=True, kw_only=True):
    """What two runs have in common, and where they differ. Tokens and costs are of whole runs, inherited steps included."""

    nodes: list[Node]
    shared: int  # steps that both inherit
    tokens: tuple[int, int]
    cost: tuple[float, float]  # USD, as far as it is known
    cost_is_partial: tuple[bool, bool]

    @property
    def is_same(self) -> bool:
        """Whether nothing but times, tokens and costs differs."""
        return all(node.status in ("shared", "same") for node in self.nodes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        nodes = [{name: getattr(node, name) for name in node.__struct_fields__} for node in self.nodes]
        return {
            "is_same": self.is_same,
            "shared": self.shared,
            "nodes": [{**node, "changes": {name: list(values) for name, values in node["changes"].items()}} for node in nodes],
            "tokens": {"a": self.tokens[0], "b": self.tokens[1], "difference": self.tokens[1] - self.tokens[0]},
            "cost": {"a": self.cost[0], "b": self.cost[1], "difference": self.cost[1] - self.cost[0], "is_partial": any(self.cost_is_partial)},
        }


def diff(a: Sequence[Step], b: Sequence[Step]) -> Diff:
    """Return how two runs differ. Their steps are to be restored, as `get_steps` of a store gives them.

    What both inherit is the same. The rest is aligned by the longest common subsequence of what the steps are: their kind, and
    of calls the tool and its arguments. Of what is left between two steps that stand side by side, those of a kind and tool are
    taken for changed.
    """
    shared = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x.step_id != y.step_id), min(len(a), len(b)))
    left, right = _Told.all_of(a), _Told.all_of(b)
    ids = {step.step_id for step in a[:shared]}
    begin = sum(1 for told in left if told.step.step_id in ids)
    pairs: list[Pair] = [(n, n) for n in range(begin)]
    pairs += [(None if x is None else x + begin, None if y is None else y + begin) for x, y in _aligned(left[begin:], right[begin:])]
    return Diff(nodes=_linked(left, right, pairs, begin), shared=shared, **_totals(a, b))


class _Told(Value, frozen=True, gc=False):
    """A step, what it is, and what it is compared by."""

    step: Step
    key: Key
    label: str
    arguments: Any
    forked: Changes = {}  # of a fork's first step: what it changed

    @classmethod
    def all_of(cls, steps: Sequence[Step]) -> "list[_Told]":
        """Return the nodes among the steps of a run as they are compared."""
        if not any(step.step_type == said.Forked.step_type for step in steps):
            return [cls.of(step) for step in steps if step.step_type not in LEFT_OUT]
        inherited = Inherited()
        changed = [inherited.changes(step) for step in steps]
        return [replace(cls.of(step), forked=forked) for step, forked in zip(steps, changed, strict=True) if step.step_type not in LEFT_OUT]

    @classmethod
    def of(cls, step: Step) -> "_Told":
        """Return a step as it is compared."""
        data, kind = step.data, step.step_type
        if kind == "llm_call":
            asked = [(call.name, canonical_hash(loose_arguments(call.raw_arguments))) for call in calls_of(data.get("tool_calls"), step.sequence)]
            return cls(step, (kind, *[part for call in asked for part in call]), "", None)
        name, arguments = data.get("tool_name"), data.get("arguments")
        label = name if isinstance(name, str) else ""
        return cls(step, (kind, label, canonical_hash(arguments)) if kind == "tool_call" else (kind, label), label, arguments if kind == "tool_call" else None)


def _aligned(a: Sequence[_Told], b: Sequence[_Told]) -> Iterator[Pair]:
    """Yield pairs of places in order; one side is None where the other has no partner."""
    x = y = 0
    for i, j in [*common([told.key for told in a], [told.key for told in b]), (len(a), len(b))]:
        yield from _gap(a, b, range(x, i), range(y, j))
        if i < len(a):
            yield i, j
        x, y = i + 1, j + 1


def _gap(a: Sequence[_Told], b: Sequence[_Told], left: range, right: range) -> Iterator[Pair]:
    """Yield what stands between two pairs: steps of a kind and tool together, in order, the others alone."""
    matched = common([a[n].key[:2] if a[n].label else a[n].key[:1] for n in left], [b[n].key[:2] if b[n].label else b[n].key[:1] for n in right])
    x, y = left.start, right.start
    for i, j in [*((left.start + i, right.start + j) for i, j in matched), (left.stop, right.stop)]:
        yield from ((n, None) for n in range(x, i))
        yield from ((None, n) for n in range(y, j))
        if i < left.stop:
            yield i, j
        x, y = i + 1, j + 1


def common(a: Sequence[Key], b: Sequence[Key]) -> list[tuple[int, int]]:
    """Return the places of a longest common subsequence, in order.

    Source: H. Hyyrö, "Bit-parallel LCS-length computation revisited" (2004): a row is one integer, so that 10,000 steps beside
    10,000 others take 10,000 additions of 10,000 bits.
    """
    places: dict[Key, int] = {}
    for n, key in enumerate(b):
        places[key] = places.get(key, 0) | 1 << n
    full = (1 << len(b)) - 1
    row, rows = full, list[int]()
    for key in a:
        hit = row & places.get(key, 0)
        row = ((row + hit) | (row - hit)) & full
        rows.append(row)
    found: list[tuple[int, int]] = []
    i, j = len(a), len(b)
    while i and j:
        if rows[i - 1] >> (j - 1) & 1:
            j -= 1
        else:
            i -= 1
            if not i or rows[i - 1] >> (j - 1) & 1:
                j -= 1
                found.append((i, j))
    return found[::-1]


def _linked(left: Sequence[_Told], right: Sequence[_Told], pairs: Sequence[Pair], shared: int) -> list[Node]:
    place = {left[x].step.step_id: n for n, (x, _) in enumerate(pairs) if x is not None}
    place |= {right[y].step.step_id: n for n, (_, y) in enumerate(pairs) if y is not None}
    nodes: list[Node] = []
    for n, (x, y) in enumerate(pairs):
        a, b = left[x] if x is not None else None, right[y] if y is not None else None
        told = b or a
        assert told is not None
        changes = _changes_of(a, b) if n >= shared else {}
        above = {place[parent] for side in (a, b) if side is not None for parent in side.step.parent_ids if parent in place}
        nodes.append(
            Node(
                status="shared" if n < shared else "added" if a is None else "removed" if b is None else "changed" if changes else "same",
                step_type=told.step.step_type,
                label=told.label,
                a=a.step.step_id if a is not None else None,
                b=b.step.step_id if b is not None else None,
                a_sequence=a.step.sequence if a is not None else None,
                b_sequence=b.step.sequence if b is not None else None,
                arguments=told.arguments,
                changes=changes,
                rests_on=sorted(above - {n}),
            )
        )
    return nodes


def _changes_of(a: _Told | None, b: _Told | None) -> dict[str, tuple[Any, Any]]:
    """Return what is otherwise in the second run; where only one of them was forked, what that fork changed."""
    if a is None or b is None:
        return {name: (y, x) for name, (x, y) in a.forked.items()} if a is not None else b.forked if b is not None else {}
    other = between(a.forked, b.forked)
    found = {**_changes(a.step.data, b.step.data), **{name: (x, y) for name, (x, y) in other.items() if canonical_hash(x) != canonical_hash(y)}}
    return {name: values for name, values in found.items() if name != "changes" or not other}


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in {**a, **b}:
        if name in PASSING:
            continue
        before, after = _compared(name, a.get(name)), _compared(name, b.get(name))
        if canonical_hash(before) != canonical_hash(after):
            found[NAMES.get(name, name)] = (before, after)
    return found


def _compared(name: str, value: Any) -> Any:
    if name == "tool_calls":
        return [{"name": call.name, "arguments": loose_arguments(call.raw_arguments)} for call in calls_of(value, 0)]
    return value


def _totals(a: Sequence[Step], b: Sequence[Step]) -> dict[str, Any]:
    tokens, cost, partial = [], [], []
    for steps in (a, b):
        calls = [step.data for step in steps if step.step_type == "llm_call" or (step.step_type == "compaction" and step.data.get("is_model_call"))]
        tokens.append(sum(_number(data.get(name)) for data in calls for name in ("prompt_tokens", "completion_tokens")))
        cost.append(sum(_number(data.get("cost")) for data in calls))
        partial.append(any(data.get("cost") is None for data in calls))
    return {"tokens": (int(tokens[0]), int(tokens[1])), "cost": (float(cost[0]), float(cost[1])), "cost_is_partial": (partial[0], partial[1])}


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
