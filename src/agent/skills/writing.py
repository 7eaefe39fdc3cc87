"""A skill as the files of an Agent Skills folder, strictly: what is written here passes the reference validator."""

import re
from collections.abc import Mapping
from pathlib import Path

from agent.errors import BadInput
from agent.models.memory import Skill
from agent.models.value import Value, replace
from agent.skills.folders import FILE_NAMES, is_plain_path
from agent.skills.rules import FILE_NAME, MAX_COMPATIBILITY_CHARS, MAX_DESCRIPTION_CHARS, field_problems, fields_of, folder_of, slug
from agent.skills.yaml_scalars import Yaml

_PLAIN = re.compile(r"[^\W\d_](?:[\w.,;()/+ -]*[\w.)])?")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


class Written(Value, frozen=True, kw_only=True):
    """A skill's files by path below the folder `name`, and what had to be changed to fit the format."""

    name: str
    files: dict[str, bytes]
    warnings: tuple[str, ...] = ()


def files_of(skill: Skill) -> Written:
    """Return what a skill's folder holds, in a form that strict readers take.

    Raises:
        BadInput: it has no name or no description, and so it cannot be written.
    """
    fitting, warnings = _fitted(skill)
    problems = field_problems(fields_of(fitting), fitting.name)
    if problems:
        raise BadInput(f"skill {skill.name!r:.80} cannot be written as a folder: {'; '.join(problems)}")
    files = {FILE_NAME: text_of(fitting).encode()}
    for file in folder_of(fitting).files:
        if not is_plain_path(file.path) or file.path in FILE_NAMES:
            warnings.append(f"{file.path!r:.80} was left out: it is no path below a folder")
        else:
            files[file.path] = file.data
    return Written(name=fitting.name, files=files, warnings=tuple(warnings))


def write_folder(skill: Skill, below: Path) -> Written:
    """Write a skill into a new folder of its name below `below`, and return what was written.

    Raises:
        BadInput: the folder is there already, or the skill cannot be written.
    """
    written = files_of(skill)
    target = below / written.name
    try:
        target.mkdir(parents=True)
    except FileExistsError:
        raise BadInput(f"{str(target)!r} is there already: remove it, or name another folder") from None
    except OSError as error:
        raise BadInput(f"the folder {str(target)!r} cannot be made: {error.strerror}") from error
    for path, data in written.files.items():
        file = target / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        except OSError as error:
            raise BadInput(f"{str(file)!r} cannot be written: {error.strerror}") from error
    return written


def text_of(skill: Skill) -> str:
    """Return a SKILL.md."""
    lines: list[str] = []
    for key, value in fields_of(skill).items():
        if isinstance(value, Mapping):
            lines += [f"{key}:", *(f"  {_scalar(name)}: {_scalar(entry)}" for name, entry in value.items())]
        else:
            lines.append(f"{key}: {_scalar(value)}")
    return "---\n" + "\n".join(lines) + "\n---\n\n" + skill.content.replace("\0", "").strip() + "\n"  # with a zero in it, readers take it for no text


def _fitted(skill: Skill) -> tuple[Skill, list[str]]:
    """Return a skill whose name and texts are such as the format allows, and what was changed."""
    folder, warnings = folder_of(skill), []
    name, description = slug(skill.name), " ".join(skill.description.split())
    if name != skill.name:
        warnings.append(f"the folder is called {name!r}: the format does not allow {skill.name!r:.80}")
    if len(description) > MAX_DESCRIPTION_CHARS:
        warnings.append(f"the description was cut: it has {len(description)} characters, {MAX_DESCRIPTION_CHARS} are allowed")
        description = description[: MAX_DESCRIPTION_CHARS - 1] + "…"
    fits = folder.compatibility
    if fits is not None and len(fits) > MAX_COMPATIBILITY_CHARS:
        warnings.append(f"compatibility was cut: it has {len(fits)} characters, {MAX_COMPATIBILITY_CHARS} are allowed")
        fits = fits[: MAX_COMPATIBILITY_CHARS - 1] + "…"
    metadata = {key: value for key, value in folder.metadata.items() if key.strip()}
    return replace(skill, name=name, description=description, folder=replace(folder, compatibility=fits, metadata=metadata)), warnings


def _scalar(value: Yaml) -> str:
    """Return a text as YAML: plain where no reader can take it for something else, else in quotes, on one line."""
    text = value if isinstance(value, str) else str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and "---" not in text and "  " not in text:
        return text
    quoted = "".join(_ESCAPED.get(char) or (char if char.isprintable() else _escaped(char)) for char in text)
    return f'"{quoted}"'.replace("---", "-\\x2d-")  # some readers look for the fence anywhere


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004  # the largest that \u can say
