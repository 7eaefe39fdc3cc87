"""What the Agent Skills format asks of a skill.

Source: the Agent Skills specification (SKILL.md: name, description, license, compatibility, metadata, allowed-tools), and the
checks of its reference validator.
"""

import unicodedata
from collections.abc import Mapping

from agent.models.memory import Skill, SkillFolder
from agent.models.value import Value
from agent.skills.yaml_scalars import Yaml

FILE_NAME = "SKILL.md"
FIELDS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
MAX_NAME_CHARS = 64
MAX_DESCRIPTION_CHARS = 1_024
MAX_COMPATIBILITY_CHARS = 500


class SkillLimits(Value, frozen=True, kw_only=True):
    """How much of a folder or an archive is read. What is beyond is left out and named; a SKILL.md beyond is refused."""

    max_text_bytes: int = 262_144  # of SKILL.md
    max_file_bytes: int = 524_288  # of a file beside it
    max_folder_bytes: int = 900_000  # of a skill in all: a memory keeps items of 1 MiB
    max_files: int = 300  # beside SKILL.md
    max_depth: int = 6  # folders in folders
    max_skills: int = 500  # below one path
    max_entries: int = 20_000  # names that are looked at below one path, or in an archive
    max_archive_bytes: int = 50_000_000  # of an archive, packed
    max_unpacked_bytes: int = 50_000_000  # of what is taken out of one


LIMITS = SkillLimits()


def slug(name: str) -> str:
    """Return the name that the format allows and that is nearest to this one; "" where nothing of it is allowed."""
    plain = unicodedata.normalize("NFKC", name).strip().lower()
    words = "".join(char if char.isalnum() else " " for char in plain).split()
    joined = "-".join(words)[:MAX_NAME_CHARS].strip("-")
    return joined if joined == joined.lower() else ""


def name_problems(name: str) -> list[str]:
    """Return what the format does not allow in a name."""
    if not name.strip():
        return ["the name is empty"]
    plain, found = unicodedata.normalize("NFKC", name.strip()), []
    if len(plain) > MAX_NAME_CHARS:
        found.append(f"the name has {len(plain)} characters, at most {MAX_NAME_CHARS} are allowed")
    if plain != plain.lower():
        found.append(f"the name {plain!r:.80} is not lower case")
    if plain.startswith("-") or plain.endswith("-") or "--" in plain:
        found.append(f"the name {plain!r:.80} begins or ends with a hyphen, or has two in a row")
    if not all(char.isalnum() or char == "-" for char in plain):
        found.append(f"the name {plain!r:.80} has something else in it than letters, digits and hyphens")
    return found


def field_problems(fields: Mapping[str, Yaml], folder_name: str | None) -> list[str]:
    """Return what the format does not allow in front matter. `folder_name` is to be the skill's name; None: it lies in none."""
    found: list[str] = []
    unknown = [key for key in fields if key not in FIELDS]
    if unknown:
        found.append(f"unknown keys {', '.join(sorted(unknown))[:200]}: there are {', '.join(FIELDS)}; put others below metadata")
    name, description, fits = fields.get("name"), fields.get("description"), fields.get("compatibility")
    if not isinstance(name, str):
        found.append("there is no name" if name is None else "the name is no text")
    else:
        found += name_problems(name)
        if folder_name is not None and unicodedata.normalize("NFKC", folder_name) != unicodedata.normalize("NFKC", name.strip()):
            found.append(f"the folder {folder_name!r:.80} and the name {name.strip()!r:.80} differ")
    if not isinstance(description, str) or not description.strip():
        found.append("there is no description: say what it does and when to use it")
    elif len(description) > MAX_DESCRIPTION_CHARS:
        found.append(f"the description has {len(description)} characters, at most {MAX_DESCRIPTION_CHARS} are allowed")
    if fits is not None and (not isinstance(fits, str) or not 0 < len(fits) <= MAX_COMPATIBILITY_CHARS):
        found.append(f"compatibility must be text of 1 to {MAX_COMPATIBILITY_CHARS} characters")
    if not isinstance(fields.get("license", ""), str):
        found.append("license must be text")
    return found + _nested_problems(fields)


def _nested_problems(fields: Mapping[str, Yaml]) -> list[str]:
    found: list[str] = []
    metadata, tools = fields.get("metadata", {}), fields.get("allowed-tools", "")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        found.append("metadata must be keys with a text each")
    if not isinstance(tools, str) and not (isinstance(tools, list) and all(isinstance(tool, str) for tool in tools)):
        found.append("allowed-tools must be text with spaces between, or a list of texts")
    return found


def folder_of(skill: Skill) -> SkillFolder:
    """Return what a skill has besides its text; of one that is text and nothing else, an empty one."""
    return skill.folder if isinstance(skill.folder, SkillFolder) else SkillFolder()


def fields_of(skill: Skill) -> dict[str, Yaml]:
    """Return a skill's front matter, with what it has of each key, in the order of the specification."""
    folder = folder_of(skill)
    fields: dict[str, Yaml] = {"name": skill.name, "description": skill.description}
    if folder.license:
        fields["license"] = folder.license
    if folder.compatibility:
        fields["compatibility"] = folder.compatibility
    if folder.metadata:
        fields["metadata"] = dict(folder.metadata)
    if folder.allowed_tools:
        fields["allowed-tools"] = " ".join(folder.allowed_tools)
    return fields
