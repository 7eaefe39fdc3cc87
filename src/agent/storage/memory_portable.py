"""What a memory holds as text that people can read, keep and take elsewhere: JSON lines, or Markdown. What comes in is a stranger's word."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from agent.errors import BadInput
from agent.models.learning import Case
from agent.models.memory import Experience, Skill
from agent.models.value import replace

Item = Experience | Skill | Case

MAX_ITEMS = 1_000_000
"""So many items are taken in at once."""

_KINDS: dict[str, type[Item]] = {"experience": Experience, "skill": Skill, "case": Case}
_TITLE = "# What was learnt"
_HEADING = re.compile(r"## (experience|skill|case) (\S.*)")
_FIELD = re.compile(r"- ([a-z_]+): (.*)")
_ID_OF = {"experience": "experience_id", "skill": "skill_id", "case": "case_id"}


class Read(NamedTuple):
    """An item, and the line of the text at which it begins (from 1)."""

    line: int
    item: Item


def id_of(item: Item) -> str:
    """Return the item's id."""
    return item.case_id if isinstance(item, Case) else item.skill_id if isinstance(item, Skill) else item.experience_id


def as_json_lines(items: Iterable[Item]) -> Iterator[str]:
    """Yield one line for each item: {"experience": {…}}, {"skill": {…}} or {"case": {…}}."""
    for item in items:
        yield json.dumps({_kind_of(item): _plain(item)}, ensure_ascii=False)


def as_markdown(items: Iterable[Item]) -> Iterator[str]:
    """Yield the lines of a document: a heading for each item, and a line for each of its fields, its value as JSON."""
    yield _TITLE
    for item in items:
        kind = _kind_of(item)
        fields = _plain(item)
        yield ""
        yield f"## {kind} {json.dumps(fields.pop(_ID_OF[kind]), ensure_ascii=False)}"
        yield ""
        for name, value in fields.items():
            yield f"- {name}: {json.dumps(value, ensure_ascii=False)}"


def read_items(text: str) -> list[Read]:
    """Return the items of a text in either form.

    Raises:
        BadInput: a line is none of theirs; says which.
    """
    is_markdown = text.lstrip("\ufeff \r\n\t").startswith("#")
    found = list(_of_markdown(text) if is_markdown else _of_json_lines(text))
    if len(found) > MAX_ITEMS:
        raise BadInput(f"there are {len(found):,} items, at most {MAX_ITEMS:,} are taken in at once: cut the file into parts")
    known: dict[str, int] = {}
    for line, item in found:
        first = known.setdefault(id_of(item), line)
        if first != line:
            raise BadInput(f"line {line}: {id_of(item)!r} stands in line {first} already: leave one of them out")
    return found


def owned_by(found: Sequence[Read], uid: str, *, take_over: bool = False, may_share: bool = False) -> list[Item]:
    """Return items as `uid` may take them in: its own; another's only to `take_over`; nobody's, which all uids are told, only if it `may_share`.

    Raises:
        BadInput: one is another's, or nobody's, or an experience without a rule; says which.
    """
    items = []
    for line, item in found:
        if isinstance(item, Experience) and not item.rule.strip():
            raise BadInput(f"line {line}: the rule of {id_of(item)!r} is empty, and says nothing: give it words, or leave it out")
        if item.uid is None and not may_share and not take_over:
            raise BadInput(f"line {line}: {id_of(item)!r} is shared with all uids: say so with --shared, or make it {uid!r}'s with --as-mine")
        if item.uid not in (None, uid) and not take_over:
            raise BadInput(f"line {line}: {id_of(item)!r} is {item.uid!r}'s: make it {uid!r}'s with --as-mine")
        items.append(item if item.uid == uid or (item.uid is None and may_share) else replace(item, uid=uid))
    return items


def _kind_of(item: Item) -> str:
    return "case" if isinstance(item, Case) else "skill" if isinstance(item, Skill) else "experience"


def _plain(item: Item) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(item)
    return data


def _of_json_lines(text: str) -> Iterator[Read]:
    for number, line in enumerate(text.lstrip("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"line {number} is no JSON ({error}): each line is one item, as `seasoned memory export` writes it") from None
        kind = next(iter(said), "") if isinstance(said, dict) and len(said) == 1 else ""
        if kind not in _KINDS or not isinstance(said[kind], dict):
            raise BadInput(f'line {number} is no item: write {{"experience": {{…}}}}, {{"skill": {{…}}}} or {{"case": {{…}}}}')
        yield Read(number, _made(number, kind, said[kind]))


def _of_markdown(text: str) -> Iterator[Read]:
    begun: tuple[int, str, dict[str, Any]] | None = None
    for number, line in enumerate(text.lstrip("\ufeff").split("\n"), 1):
        heading, field = _HEADING.fullmatch(line.rstrip()), _FIELD.fullmatch(line.rstrip())
        if heading is not None:
            if begun is not None:
                yield Read(begun[0], _made(*begun))
            begun = (number, heading[1], {_ID_OF[heading[1]]: _value(number, heading[2])})
        elif field is not None and begun is not None:
            begun[2][field[1]] = _value(number, field[2])
        elif line.strip() and (begun is not None or not line.startswith("#")):
            raise BadInput(f"line {number} is neither a heading '## experience \"ID\"' nor a field '- name: value': {line[:80]!r}")
    if begun is not None:
        yield Read(begun[0], _made(*begun))


def _value(number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"line {number}: {text[:80]!r} is no JSON value ({error}): text stands in quotation marks") from None


def _made(number: int, kind: str, data: dict[str, Any]) -> Item:
    unknown = sorted(data.keys() - set(_KINDS[kind].__struct_fields__))
    if unknown:
        raise BadInput(f"line {number}: a {kind} has no field {unknown[0]!r}; it has {', '.join(_KINDS[kind].__struct_fields__)}")
    try:
        item: Item = msgspec.convert(data, _KINDS[kind])
    except (msgspec.ValidationError, TypeError) as error:
        raise BadInput(f"line {number} is no {kind}: {error}") from None
    return item
