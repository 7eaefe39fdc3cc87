"""What is written passes the reference validator, and comes back as it was."""

from pathlib import Path

import pytest
import skills_ref
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import BadInput
from agent.models.memory import Skill, SkillFile, SkillFolder
from agent.models.value import replace
from agent.skills.loading import load_skills, validate_skills
from agent.skills.reading import with_id
from agent.skills.writing import files_of, text_of, write_folder

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
lines = st.sampled_from(
    ["a --- b", "true", "1.0", "Use when: asked", "# no comment", "'", '"', "- x", "&a *a", "{}", "[", "a\\nb", "---", "null", "x: [y", "a\x85b", "\ufeff"]
)
words = lines | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(lambda text: bool(text.split()))


def skill_of(description: str, name: str = "my-skill", content: str = "Do it.", **folder: object) -> Skill:
    return with_id(Skill.create("user", name, description, content, folder=SkillFolder(**folder)))  # type: ignore[arg-type]  # any of its fields


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(description=words, license_=words, metadata=st.dictionaries(words, texts | lines, max_size=4), content=texts)
def test_any_skill_that_is_written_is_valid_and_means_the_same(
    tmp_path_factory: pytest.TempPathFactory, description: str, license_: str, metadata: dict[str, str], content: str
) -> None:
    below = tmp_path_factory.mktemp("skills")
    skill = skill_of(description, content=content, license=license_, metadata=metadata)

    written = write_folder(skill, below)
    (one,), _ = load_skills(below, scope="user")

    assert skills_ref.validate(below / written.name) == []
    assert [report.problems for report in validate_skills(below)] == [()]
    properties = skills_ref.read_properties(below / written.name)
    kept = {key: value for key, value in metadata.items() if key.strip()}
    assert properties.description.split() == description.split()
    assert (properties.metadata or {}) == kept
    assert isinstance(one.skill.folder, SkillFolder)
    assert one.skill.description == " ".join(description.split())
    assert one.skill.folder.metadata == kept
    assert one.skill.folder.license == (license_.strip() or None)
    assert [warning for warning in one.warnings if "no text" not in warning] == []


def test_files_are_written_beside_the_text_and_come_back(tmp_path: Path) -> None:
    files = (SkillFile("references/a.md", b"# A"), SkillFile("assets/x.bin", bytes(range(256))))
    skill = skill_of("How to.", files=files, allowed_tools=("Bash(git add:*)", "Read"), metadata={"version": "1"})

    write_folder(skill, tmp_path)
    (one,), _ = load_skills(tmp_path, scope="user")

    assert one.skill.skill_id != ""
    assert isinstance(one.skill.folder, SkillFolder)
    assert one.skill.folder.files == tuple(sorted(files, key=lambda file: file.path))
    assert one.skill.folder.allowed_tools == ("Bash(git add:*)", "Read")
    assert one.skill.skill_id == with_id(replace(skill, folder=replace(one.skill.folder))).skill_id


def test_what_does_not_fit_the_format_is_changed_and_said(tmp_path: Path) -> None:
    written = write_folder(skill_of("long " * 400, name="My Invoices", compatibility="c" * 600), tmp_path)

    assert skills_ref.validate(tmp_path / "my-invoices") == []
    assert written.name == "my-invoices"
    assert [warning.split()[1] for warning in written.warnings] == ["folder", "description", "was"]


def test_a_skill_without_name_or_description_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no description"):
        write_folder(skill_of("  "), tmp_path)
    with pytest.raises(BadInput, match="the name is empty"):
        write_folder(skill_of("d", name="…"), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over_a_folder_that_is_there_or_outside_of_it(tmp_path: Path) -> None:
    (tmp_path / "my-skill").mkdir()
    with pytest.raises(BadInput, match="is there already"):
        write_folder(skill_of("d"), tmp_path)

    hostile = skill_of("d", files=(SkillFile("../out", b"x"), SkillFile("/abs", b"x"), SkillFile("SKILL.md", b"x"), SkillFile("ok", b"x")))

    written = files_of(hostile)
    assert sorted(written.files) == ["SKILL.md", "ok"]
    assert len(written.warnings) == 3
    assert written.files["SKILL.md"] == text_of(hostile).encode()


FOLDERS = {
    "fine": "---\nname: fine\ndescription: d\n---\nbody",
    "differs": "---\nname: other\ndescription: d\n---\nbody",
    "Upper": "---\nname: Upper\ndescription: d\n---\nbody",
    "two--hyphens": "---\nname: two--hyphens\ndescription: d\n---\nbody",
    "-first": "---\nname: -first\ndescription: d\n---\nbody",
    "under_score": "---\nname: under_score\ndescription: d\n---\nbody",
    "n" * 65: "---\nname: " + "n" * 65 + "\ndescription: d\n---\nbody",
    "中文技能": "---\nname: 中文技能\ndescription: 描述\n---\nbody",
    "no-name": "---\ndescription: d\n---\nbody",
    "no-description": "---\nname: no-description\n---\nbody",
    "blank": '---\nname: blank\ndescription: " "\n---\nbody',
    "long": "---\nname: long\ndescription: " + "d" * 1025 + "\n---\nbody",
    "longest": "---\nname: longest\ndescription: " + "d" * 1024 + "\n---\nbody",
    "unknown": "---\nname: unknown\ndescription: d\nversion: 1\n---\nbody",
    "fits": "---\nname: fits\ndescription: d\ncompatibility: " + "c" * 501 + "\n---\nbody",
    "colon": "---\nname: colon\ndescription: Use when: asked\n---\nbody",
    "anchor": "---\nname: anchor\ndescription: &a d\nlicense: *a\n---\nbody",
    "open": "---\nname: open\ndescription: d\nbody",
    "none": "# Only a text",
    "twice": "---\nname: twice\ndescription: d\ndescription: e\n---\nbody",
    "quote": "---\nname: quote\ndescription: 'd\n---\nbody",
    "whole": "---\nname: whole\ndescription: d\nlicense: MIT\ncompatibility: c\nmetadata:\n  a: 'b'\nallowed-tools: Read Write\n---\nbody",
}


@pytest.mark.parametrize("name", FOLDERS, ids=lambda name: name[:20])
def test_our_check_and_the_reference_validator_agree(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "SKILL.md").write_text(FOLDERS[name])

    (report,) = validate_skills(tmp_path)

    assert bool(report.problems) == bool(skills_ref.validate(tmp_path / name)), (report, skills_ref.validate(tmp_path / name))
