"""Experiences and skills: what later runs are told."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from agent.clock import now
from agent.errors import BadInput
from agent.ids import new_id
from agent.models.value import Value

Kind = Literal["do", "dont", "preference"]
MemoryState = Literal["candidate", "shadow", "active", "superseded", "retired"]


class Experience(Value, frozen=True, kw_only=True):
    """A lesson: under `condition`, follow `rule`; `evidence` are the step ids it rests on."""

    experience_id: str
    scope: str  # such as "agent:default"
    condition: str
    rule: str
    evidence: tuple[str, ...] = ()
    source: str = "manual"  # feedback, manual, import, model …
    confidence: float = 0.5  # 0..1
    kind: str = "do"
    state: str = "active"
    author: str | None = None
    uid: str | None = None  # owner; None: shared within its scope
    trust: str = "person"  # person > verified_tool > model > web
    created_at: datetime = msgspec.field(default_factory=now)
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    superseded_by: str | None = None

    @classmethod
    def create(
        cls, scope: str, condition: str, rule: str, evidence: Sequence[str] = (), source: str = "manual", confidence: float = 0.5, **fields: Any
    ) -> "Experience":
        """Return a new experience with a fresh id."""
        return cls(
            experience_id=fields.pop("experience_id", None) or new_id(),
            scope=scope,
            condition=condition,
            rule=rule,
            evidence=tuple(evidence),
            source=source,
            confidence=confidence,
            **fields,
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Experience":
        """Return the experience of which `to_dict` gave this.

        Raises:
            BadInput: it is none.
        """
        try:
            return msgspec.convert(data, cls)
        except (msgspec.ValidationError, TypeError) as error:
            raise BadInput(f"this is no experience: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; moments as ISO 8601."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data

    def to_prompt_text(self) -> str:
        """Return one line for a prompt."""
        return f"{self.condition}: {self.rule}" if self.condition else self.rule


EXPERIENCES_KEY, EVIDENCE_KEY = "seasoned-experiences", "seasoned-evidence"
"""Keys of a skill's metadata: ids of the experiences that it was made of, and of the steps that these rest on, with blanks between."""
EVIDENCE_PATH = "references/evidence.md"
"""The file in which all of that stands, rule by rule."""


class SkillFile(Value, frozen=True):
    """A file beside a skill's text. `path` is relative, with slashes, and never leads upward."""

    path: str
    data: bytes


class SkillFolder(Value, frozen=True, kw_only=True):
    """What a skill has besides its text, where it came from a folder (Agent Skills format)."""

    license: str | None = None
    compatibility: str | None = None
    metadata: dict[str, str] = {}
    allowed_tools: tuple[str, ...] = ()  # as it is written; nothing is allowed by it
    files: tuple[SkillFile, ...] = ()
    origin: str | None = None  # where it was read
    author: str | None = None  # who imported or wrote it
    trust: str = "person"  # person > verified_tool > model > web
    has_files: bool = False  # of a skill as it was told: there are files, which are not in here


class Skill(Value, frozen=True, kw_only=True):
    """Knowledge under a name: the description is always told, the content whole where it is short.

    One with a `folder` is told by name and description, and read on demand; UNSET: it is text and nothing else.
    """

    skill_id: str
    scope: str
    name: str
    description: str
    content: str
    uid: str | None = None
    state: str = "active"
    created_at: datetime = msgspec.field(default_factory=now)
    folder: SkillFolder | msgspec.UnsetType = msgspec.UNSET  # unset it leaves no trace in the bytes of older skills

    @classmethod
    def create(cls, scope: str, name: str, description: str, content: str, **fields: Any) -> "Skill":
        """Return a new skill with a fresh id."""
        return cls(skill_id=fields.pop("skill_id", None) or new_id(), scope=scope, name=name, description=description, content=content, **fields)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Skill":
        """Return the skill of which `to_dict` gave this.

        Raises:
            BadInput: it is none.
        """
        try:
            return msgspec.convert(data, cls)
        except (msgspec.ValidationError, TypeError) as error:
            raise BadInput(f"this is no skill: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data; moments as ISO 8601."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data

    def as_told(self, max_chars: int | None) -> "Skill":
        """Return the skill as a run is told it: one with a folder, or with more than so many characters, without what is read on demand.

        With None it is told whole.
        """
        if max_chars is None:
            return msgspec.structs.replace(self, folder=msgspec.UNSET)
        if not self.folder and len(self.content) <= max_chars:
            return self
        folder = self.folder or SkillFolder()
        head = msgspec.structs.replace(folder, files=(), metadata={}, has_files=folder.has_files or bool(folder.files))
        return msgspec.structs.replace(self, content="", folder=head)

    def to_prompt_text(self) -> str:
        """Return a block for a prompt: name, description, and the content unless that is read on demand."""
        return f"### {self.name}\n{self.description}\n\n{'' if self.folder else self.content}".strip()
