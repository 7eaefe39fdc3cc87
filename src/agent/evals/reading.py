"""Files of tasks as plain values, each with the line that it stands on: YAML, JSON, JSON lines."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.errors import BadInput, ConfigInvalid
from agent.models.value import Value
from agent.tools.json_text import JsonLimits, NotJson, parse_json

MAX_FILE_BYTES = 50_000_000
"""Bytes of a file of tasks."""
MAX_YAML_VALUES = 1_000_000
"""Values in a YAML file, those that aliases repeat counted each time: a small file cannot grow into a huge one."""
MAX_DEPTH = 50
"""Values inside each other."""
EVAL_KEY = "eval"
"""In JSON lines: the key of the first line that speaks of the whole set."""

_LIMITS = JsonLimits(max_chars=MAX_FILE_BYTES, max_depth=MAX_DEPTH)
_INTEGER, _FLOAT = re.compile(r"[-+]?[0-9]+"), re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {word: value for value, words in ((True, ("true", "True", "TRUE")), (False, ("false", "False", "FALSE"))) for word in words}


class Entry(Value, frozen=True):
    """One table of a file, and where it stands; `lines` are those of its keys, where they are known."""

    data: dict[str, Any]
    where: str  # such as "tasks.yaml:12"
    lines: dict[str, str] = {}

    def place(self, key: str) -> str:
        """Return where a key stands."""
        return self.lines.get(key, self.where)


class Document(Value, frozen=True):
    """What a file holds: what it says of the whole set, and its tasks."""

    head: Entry
    tasks: tuple[Entry, ...]


def read_document(path: Path) -> Document:
    """Return what a file of tasks holds: `.jsonl` is JSON lines, `.json` JSON, all else YAML.

    Raises:
        BadInput: it cannot be read, or is something else; says the line.
        ConfigInvalid: it is YAML, and the extra that reads it is not installed.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadInput(f"the tasks {str(path)!r} cannot be read: {error.strerror}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise BadInput(f"the tasks {str(path)!r} are larger than {MAX_FILE_BYTES} bytes: split them")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start} is no UTF-8: save the file as UTF-8") from None
    readers: dict[str, Callable[[str, str], Document]] = {".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json}
    return readers.get(path.suffix.lower(), _yaml)(text, str(path))


# ---- JSON


def _json_lines(text: str, name: str) -> Document:
    entries = [_line(line, f"{name}:{number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not entries:
        raise BadInput(f"{name}: there is no task in it")
    if EVAL_KEY not in entries[0].data:
        return Document(Entry({}, f"{name}:1"), tuple(entries))
    head = entries[0]
    inside = head.data[EVAL_KEY]
    if not isinstance(inside, dict) or len(head.data) > 1:
        raise BadInput(f'{head.where}: the line of the whole set is {{"{EVAL_KEY}": {{…}}}} and nothing besides')
    return Document(Entry(inside, head.where), tuple(entries[1:]))


def _line(text: str, where: str) -> Entry:
    value = _parsed(text, where)
    if not isinstance(value, dict):
        raise BadInput(f"{where}: a task is a JSON object, not {type(value).__name__}")
    return Entry(value, where)


def _parsed(text: str, where: str) -> Any:
    try:
        return parse_json(text, _LIMITS)
    except NotJson as error:
        raise BadInput(f"{where}: {error}") from None


def _json(text: str, name: str) -> Document:
    whole = _parsed(text, name)
    head, given = ({}, whole) if isinstance(whole, list) else (whole, whole.get("tasks") if isinstance(whole, dict) else None)
    if not isinstance(given, list):
        raise BadInput(f'{name}: write a list of tasks, or an object with "tasks"')
    tasks = [_task(value, f"{name}: task {number}") for number, value in enumerate(given, 1)]
    return Document(Entry({key: value for key, value in head.items() if key != "tasks"}, name), tuple(tasks))


def _task(value: Any, where: str, lines: dict[str, str] | None = None) -> Entry:
    if not isinstance(value, dict):
        raise BadInput(f"{where}: a task is a table with 'task', not {type(value).__name__}")
    return Entry(value, where, lines or {})


# ---- YAML


def _yaml(text: str, name: str) -> Document:
    try:
        import yaml
    except ImportError:
        raise ConfigInvalid(f"{name} is read as YAML, which needs pip install 'seasoned[evals]'; tasks as JSON lines (.jsonl) need nothing") from None
    loader = yaml.SafeLoader(text)  # only composed below: nodes, no objects
    try:
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise BadInput(f"{name}{line}: no valid YAML: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise BadInput(f"{name}: there are more than {MAX_DEPTH} values inside each other") from None
    finally:
        loader.dispose()
    return _Nodes(name).document(root)


class _Nodes:
    """Reads composed YAML by the core schema of YAML 1.2: `no` and `on` are words, and a date is one too."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0

    def document(self, root: Any) -> Document:
        """Return what the file holds."""
        if root is None:
            raise BadInput(f"{self.name}: there is no task in it")
        if root.id == "sequence":
            return Document(Entry({}, self.place(root)), tuple(self.tasks(root)))
        pairs = self.pairs(root) if root.id == "mapping" else {}
        if "tasks" not in pairs or pairs["tasks"][1].id != "sequence":
            raise BadInput(f"{self.place(root)}: write a list of tasks, or a table with 'tasks' as a list")
        head = {key: self.value(node) for key, (_, node) in pairs.items() if key != "tasks"}
        lines = {key: self.place(key_node) for key, (key_node, _) in pairs.items()}
        return Document(Entry(head, self.place(root), lines), tuple(self.tasks(pairs["tasks"][1])))

    def tasks(self, root: Any) -> list[Entry]:
        """Return the tasks of a list."""
        found: list[Entry] = []
        for node in root.value:
            lines = {key: self.place(at) for key, (at, _) in self.pairs(node).items()} if node.id == "mapping" else {}
            found.append(_task(self.value(node), self.place(node), lines))
        return found

    def place(self, node: Any) -> str:
        """Return the file and line of a node."""
        return f"{self.name}:{node.start_mark.line + 1}"

    def pairs(self, node: Any) -> dict[str, tuple[Any, Any]]:
        """Return the nodes of a table's keys and values by key."""
        found: dict[str, tuple[Any, Any]] = {}
        for key, value in node.value:
            if key.id != "scalar":
                raise BadInput(f"{self.place(key)}: a key is a word, not a list or table")
            if key.value in found:
                raise BadInput(f"{self.place(key)}: the key {key.value!r} comes twice")
            found[key.value] = (key, value)
        return found

    def value(self, node: Any, depth: int = 0) -> Any:
        """Return a node as plain data."""
        self.count += 1
        if self.count > MAX_YAML_VALUES or depth > MAX_DEPTH:
            raise BadInput(f"{self.place(node)}: more than {MAX_YAML_VALUES} values, or {MAX_DEPTH} inside each other: aliases may not multiply")
        if node.id == "mapping":
            return {key: self.value(inner, depth + 1) for key, (_, inner) in self.pairs(node).items()}
        if node.id == "sequence":
            return [self.value(inner, depth + 1) for inner in node.value]
        return self.scalar(node)

    def scalar(self, node: Any) -> Any:
        """Return a text, number, truth value or nothing; what is quoted is a text."""
        if not node.tag.startswith("tag:yaml.org,2002:"):
            raise BadInput(f"{self.place(node)}: the tag {node.tag!r} is not known here: leave it out")
        text: str = node.value
        if node.style is not None or node.tag == "tag:yaml.org,2002:str":
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text) if len(text) < 20 else text  # noqa: PLR2004  beyond 64 bits it is an id, no number
        return float(text) if _FLOAT.fullmatch(text) else text
