"""The files of a skill become a value, leniently: what the format does not allow is a warning and not a refusal."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from agent.core.lessons import least
from agent.models.json_text import json_of
from agent.models.memory import Skill, SkillFile, SkillFolder
from agent.models.value import Value
from agent.skills.front_matter import read_front_matter
from agent.skills.rules import FIELDS, FILE_NAME, MAX_DESCRIPTION_CHARS, field_problems, folder_of, slug
from agent.skills.yaml_scalars import Yaml

MAX_LENIENT_DESCRIPTION_CHARS = 4_096
"""Characters of a description that are kept; the format allows 1,024."""
MAX_METADATA = 100
"""Entries of a skill's metadata that are kept."""
MAX_METADATA_CHARS = 10_000
"""Characters of each of them."""


TRUST_KEY = "seasoned-trust"
"""The key of metadata under which a skill that was made of experiences says how far its sources are to be trusted."""


class Files(Value, frozen=True, kw_only=True):
    """A skill as it lies in a folder or an archive: bytes, and nothing of them looked at yet."""

    place: str  # for people: where it was found
    folder_name: str
    text: bytes  # of SKILL.md
    files: tuple[SkillFile, ...] = ()  # beside it, by path
    warnings: tuple[str, ...] = ()  # of what was left out


class Loaded(Value, frozen=True, kw_only=True):
    """A skill that was read, and what a strict reader would say of it."""

    skill: Skill
    place: str
    warnings: tuple[str, ...] = ()


class Unusable(Value, frozen=True):
    """A place where there is no skill that can be used, and why."""

    place: str
    reason: str


def read_skill(found: Files, *, scope: str, uid: str | None = None, author: str | None = None, trust: str = "person") -> Loaded | Unusable:
    """Return the skill that files amount to. Its id follows from all that it says, so that the same folder twice is one skill."""
    try:
        text = found.text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Unusable(found.place, f"{FILE_NAME} is no UTF-8 text")
    if "\0" in text:
        return Unusable(found.place, f"{FILE_NAME} is no text")
    front = read_front_matter(text)
    warnings = [*found.warnings, *front.problems]
    if front.fields:
        warnings += field_problems(front.fields, found.folder_name or None)
    name = slug(_text(front.fields.get("name"))) or slug(found.folder_name)
    if not name:
        return Unusable(found.place, f"neither {FILE_NAME} nor its folder has a name with letters or digits")
    description = " ".join(_text(front.fields.get("description")).split())
    if not description:
        description = _first_paragraph(front.body)
        if not description:
            return Unusable(found.place, f"{FILE_NAME} says nothing: neither a description nor a text")
        warnings.append("the first words of the text stand in for the description")
    if len(description) > MAX_LENIENT_DESCRIPTION_CHARS:
        description = description[: MAX_LENIENT_DESCRIPTION_CHARS - 1] + "…"
    if name != _text(front.fields.get("name")).strip():
        warnings.append(f"it is called {name!r} here")
    metadata = _metadata(front.fields, warnings)
    folder = SkillFolder(
        license=_optional(front.fields.get("license")),
        compatibility=_optional(front.fields.get("compatibility")),
        metadata=metadata,
        allowed_tools=tuple(_tools(front.fields.get("allowed-tools", ""))),
        files=tuple(sorted(found.files, key=lambda file: file.path)),
        origin=found.place,
        author=author,
        trust=least(trust, metadata.get(TRUST_KEY, trust)),
    )
    draft = Skill.create(scope, name, description, front.body, uid=uid, folder=folder, skill_id="-")
    return Loaded(skill=with_id(draft), place=found.place, warnings=tuple(dict.fromkeys(warnings)))


def with_id(skill: Skill) -> Skill:
    """Return a skill under the id that follows from its owner, its scope and what it says; where it was read does not count."""
    folder = folder_of(skill)
    files = [[file.path, hashlib.sha256(file.data).hexdigest()] for file in folder.files]
    said = [skill.scope, skill.uid, skill.name, skill.description, skill.content]
    rest = [folder.license, folder.compatibility, folder.metadata, list(folder.allowed_tools), files, folder.trust]
    digest = hashlib.sha256(json.dumps([said, rest], sort_keys=True).encode()).hexdigest()
    return Skill.create(
        skill.scope, skill.name, skill.description, skill.content,
        uid=skill.uid, state=skill.state, created_at=skill.created_at, folder=skill.folder, skill_id=f"skill-{digest[:20]}",
    )  # fmt: skip


def _text(value: Yaml | None) -> str:
    return value if isinstance(value, str) else ""


def _optional(value: Yaml | None) -> str | None:
    if not value:
        return None
    return (value.strip() if isinstance(value, str) else json_of(value) or "")[:MAX_METADATA_CHARS] or None


def _metadata(fields: Mapping[str, Yaml], warnings: list[str]) -> dict[str, str]:
    """Return what stands below `metadata` and under keys that the format does not know; what is no text becomes JSON."""
    given = fields.get("metadata", {})
    entries: dict[str, Yaml] = dict(given) if isinstance(given, dict) else {"metadata": given}
    entries = {key: value for key, value in fields.items() if key not in FIELDS} | entries
    if len(entries) > MAX_METADATA:
        warnings.append(f"of {len(entries)} entries of metadata {MAX_METADATA} were kept")
    kept = list(entries.items())[:MAX_METADATA]
    return {key: (value if isinstance(value, str) else json_of(value) or "")[:MAX_METADATA_CHARS] for key, value in kept}


def _tools(given: Yaml) -> Sequence[str]:
    """Return tools as they are written: `Bash(git add:*)` is one, in spite of its space."""
    if isinstance(given, list):
        return [one for one in given if isinstance(one, str) and one.strip()]
    found: list[str] = []
    depth, word = 0, ""
    for char in _text(given):
        depth += (char == "(") - (char == ")" and depth > 0)
        if not depth and (char.isspace() or char == ","):
            found.append(word)
            word = ""
        else:
            word += char
    return [one for one in (*found, word) if one]


def _first_paragraph(body: str) -> str:
    """Return the first words of a text that are no heading."""
    for paragraph in body[:MAX_METADATA_CHARS].split("\n\n"):
        words = " ".join(line for line in paragraph.splitlines() if not line.lstrip().startswith(("#", "---", "```"))).split()
        if words:
            text = " ".join(words)
            return text if len(text) <= MAX_DESCRIPTION_CHARS else text[: MAX_DESCRIPTION_CHARS - 1] + "…"
    return ""
