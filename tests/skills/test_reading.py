"""What real folders hold is read, with a warning where the format does not allow it."""

import os
import time
from pathlib import Path

import pytest

from agent.errors import BadInput
from agent.models.memory import Skill, SkillFolder
from agent.skills.front_matter import read_front_matter
from agent.skills.loading import Skills, load_skills
from agent.skills.rules import SkillLimits


def write(folder: Path, text: str | bytes = "---\nname: {name}\ndescription: How to test.\n---\n\nDo it.\n", **files: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "SKILL.md").write_bytes(text if isinstance(text, bytes) else text.replace("{name}", folder.name).encode())
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def load(path: Path, limits: SkillLimits | None = None) -> Skills:
    return load_skills(path, scope="agent:tester", limits=limits or SkillLimits())


def only(path: Path, limits: SkillLimits | None = None) -> tuple[Skill, SkillFolder, str]:
    (one,), unusable = load(path, limits)
    assert unusable == ()
    assert isinstance(one.skill.folder, SkillFolder)
    return one.skill, one.skill.folder, "\n".join(one.warnings)


def test_a_skill_is_read_with_all_that_it_says(tmp_path: Path) -> None:
    text = """---
name: pdf-forms
description: >-
  Fills forms in PDF files.
  Use when somebody asks for a form.
license: Apache-2.0
compatibility: Requires nothing
metadata:
  author: example-org
  version: "1.0"
allowed-tools: Bash(git add:*) Read
---

# Forms

See references/fields.md.
"""
    folder = write(tmp_path / "pdf-forms", text, references__fields="all fields", scripts__fill="print()")

    skill, extra, warnings = only(folder)

    assert (skill.name, skill.description) == ("pdf-forms", "Fills forms in PDF files. Use when somebody asks for a form.")
    assert skill.content == "# Forms\n\nSee references/fields.md."
    assert (extra.license, extra.compatibility, extra.metadata) == ("Apache-2.0", "Requires nothing", {"author": "example-org", "version": "1.0"})
    assert extra.allowed_tools == ("Bash(git add:*)", "Read")
    assert [(file.path, file.data) for file in extra.files] == [("references/fields", b"all fields"), ("scripts/fill", b"print()")]
    assert warnings == ""


@pytest.mark.parametrize(
    ("text", "warning", "description"),
    [
        ("---\nname: odd\ndescription: " + "x " * 1000 + "\n---\nbody", "the description has", "x x"),
        ("---\nname: odd\ndescription: d\nauthor: me\nwhen_to_use: often\n---\nbody", "unknown keys author, when_to_use", "d"),
        ("\ufeff---\r\nname: odd\r\ndescription: d\r\n---\r\nbody\r\n", "", "d"),
        ("---\nname: odd\ndescription: Use it when: asked\n---\nbody", "colon", "Use it when: asked"),
        ("---\nname: other\ndescription: d\n---\nbody", "differ", "d"),
        ("---\nname: Odd Skill\ndescription: d\n---\nbody", "it is called 'odd-skill' here", "d"),
        ("---\nname: odd\n---\n# Title\n\nThe first words.\n\nMore.", "stand in for the description", "The first words."),
        ("# Title\n\nNo front matter at all.", "there is no front matter", "No front matter at all."),
        ("---\nname: odd\ndescription: d\n\nnever closed", "not closed", "name: odd description: d"),
        ("---\nname: odd\ndescription: 'd\n---\nbody", "never closed", "d"),
        ("---\nname: odd\ndescription: d\n  }: [\nallowed-tools: [a\n---\nbody", "never closed", "d }: ["),
        ("---\n- a\n- b\n---\nbody text", "is no 'key: value'", "body text"),
        ("---\nname: odd\ndescription: d\nmetadata: {openclaw: {requires: [git, curl]}}\n---\nbody", "metadata must be", "d"),
        ("---\nname: odd\ndescription: d\nmetadata:\n  version: 1.0\n---", "", "d"),
    ],
)
def test_what_the_format_does_not_allow_is_a_warning(tmp_path: Path, text: str, warning: str, description: str) -> None:
    skill, _, warnings = only(write(tmp_path / "odd", text))

    assert skill.description.startswith(description)
    assert warning in warnings
    assert bool(warnings) == bool(warning)


def test_metadata_of_any_shape_is_kept_as_text(tmp_path: Path) -> None:
    text = "---\nname: odd\ndescription: d\nversion: 2\nmetadata:\n  openclaw: {requires: [git]}\n  deep:\n    emoji: x\n---\n"

    _, extra, _ = only(write(tmp_path / "odd", text))

    assert extra.metadata == {"version": "2", "openclaw": '{"requires":["git"]}', "deep": '{"emoji":"x"}'}


def test_one_that_cannot_be_used_does_not_keep_the_others_out(tmp_path: Path) -> None:
    write(tmp_path / "good")
    write(tmp_path / "binary", b"\x89PNG\0\1\2")
    write(tmp_path / "latin", "---\nname: latin\ndescription: caf\xe9\n---".encode("latin-1"))
    write(tmp_path / "empty", "---\n---\n")
    write(tmp_path / "huge", b"x" * 10_000_000)
    write(tmp_path / "deeper" / "down" / "there")
    (tmp_path / "README.md").write_text("no skill")

    loaded, unusable = load(tmp_path)

    assert [one.skill.name for one in loaded] == ["there", "good"]
    assert {Path(one.place).name: one.reason for one in unusable} == {
        "binary": "SKILL.md is no UTF-8 text",
        "latin": "SKILL.md is no UTF-8 text",
        "empty": "SKILL.md says nothing: neither a description nor a text",
        "huge": "SKILL.md: it has 10000000 bytes, at most 262144 are read",
    }


def test_of_two_with_one_name_the_first_holds_and_the_other_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a", "---\nname: same\ndescription: first\n---")
    write(tmp_path / "b", "---\nname: Same\ndescription: second\n---")

    loaded, unusable = load(tmp_path)

    assert [one.skill.description for one in loaded] == ["first"]
    assert [(Path(one.place).name, one.reason) for one in unusable] == [("b", f"there is a skill 'same' already: {tmp_path / 'a'}")]


def test_names_with_parts_of_paths_become_plain_names(tmp_path: Path) -> None:
    for number, name in enumerate(["../../etc/passwd", "/top/x", "a/../b", "..", "C:\\x", "名称/技能"]):
        write(tmp_path / f"n{number}", f"---\nname: {name}\ndescription: d\n---")

    loaded, unusable = load(tmp_path)

    assert [one.skill.name for one in loaded] == ["etc-passwd", "top-x", "a-b", "n3", "c-x", "名称-技能"]
    assert unusable == ()


def test_links_pipes_and_names_that_cannot_be_kept_are_left_out_by_name(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = write(tmp_path / "skills" / "linked", inside="fine")
    (folder / "out").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "in").symlink_to("inside")
    os.mkfifo(folder / "pipe")
    (folder / "two\nlines").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")

    _, extra, warnings = only(folder)

    assert [file.path for file in extra.files] == ["inside"]
    assert warnings.count("a link") == 3
    assert "pipe was left out: it is no regular file" in warnings
    assert "'two\\nlines' was left out" in warnings
    assert "secret" not in str(extra)


def test_a_skill_md_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("---\nname: x\ndescription: d\n---")
    (tmp_path / "skills" / "x").mkdir(parents=True)
    (tmp_path / "skills" / "x" / "SKILL.md").symlink_to(tmp_path / "target")

    loaded, unusable = load(tmp_path / "skills")

    assert loaded == ()
    assert [one.reason for one in unusable] == ["SKILL.md: it is a link"]


def test_files_beyond_the_limits_are_left_out_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "big", a="x" * 400, b="x" * 40, c="x" * 40, d="x" * 40, e="x")

    _, extra, warnings = only(folder, SkillLimits(max_file_bytes=100, max_folder_bytes=150, max_files=2))

    assert [file.path for file in extra.files] == ["b", "c"]
    assert "a was left out: it has 400 bytes" in warnings
    assert "d was left out: more than 2 files" in warnings


def test_a_path_without_skills_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("hello")

    with pytest.raises(BadInput, match="there is no '/nowhere'"):
        load(Path("/nowhere"))
    with pytest.raises(BadInput, match="has no skill in it"):
        load(tmp_path / "empty")
    with pytest.raises(BadInput, match="neither a folder with skills"):
        load(tmp_path / "note.txt")


def test_a_tree_with_too_much_in_it_is_refused(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"s{number}")

    with pytest.raises(BadInput, match="more than 3 skills"):
        load(tmp_path, SkillLimits(max_skills=3))
    with pytest.raises(BadInput, match="more than 5 files and folders"):
        load(tmp_path, SkillLimits(max_entries=5))


def test_the_id_follows_from_what_a_skill_says_and_not_from_where_it_lies(tmp_path: Path) -> None:
    first, again = only(write(tmp_path / "a" / "same", f="1"))[0], only(write(tmp_path / "b" / "same", f="1"))[0]
    other = only(write(tmp_path / "c" / "same", f="2"))[0]

    assert first.skill_id == again.skill_id
    assert other.skill_id != first.skill_id


LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    "evil",
    [
        LAUGHS,
        "[\n" * 30_000,
        "a: [\n" + "[\n" * 30_000,
        "a: '\n" + "'' \n" * 20_000,
        "a" + " " * 64_000,
        'a: ["' + " " * 60_000 + '"',
        "a: " + "[" * 60_000,
        "a: [" + "x: " * 20_000 + "]",
        "".join(" " * depth + "a:\n" for depth in range(300)),
        "".join(" " * depth + "-\n" for depth in range(300)),
        'a: "' + "\\" * 60_000,
        "? x\n: y\n!!python/object:os.system\n<<: *x\n%YAML 9",
        "a: |9\n x\nb: >-+\n",
        "\t\t- :\n:\n::\n: :",
    ],
    ids=lambda evil: evil[:12].encode("unicode_escape").decode(),
)
def test_hostile_front_matter_ends_soon_and_stays_small(evil: str) -> None:
    began = time.process_time()
    front = read_front_matter(f"---\n{evil}\n---\nthe body")

    assert time.process_time() - began < 5
    assert front.body == "the body"
    assert len(repr(front.fields)) < 10 * len(evil) + 1000
    assert len(front.problems) <= 20


FOUND_IN_THE_WILD = """---
name: PDF Tools Pro
description: 将 PDF 转换为 Markdown。当用户提到:(1)"PDF转Markdown"、"OCR提取"时使用 — MUST load; it's "good"
argument-hint: [--auto] [--until <stage>]
homepage: https://example.org/tree/master/x
# a comment in between, with: a colon
allowed-tools:
  ["Read", "Bash(npx x@latest status*)",
   "mcp__project__query"]
metadata: {"openclaw":{"requires":{"bins":["ipfs"]},"tip":"a.b"}}
tools: ['read', 'search']
url_patterns: ["*"]
dom_markers:
  - "input[type='search']"
  - "[aria-label*='search' i]"
cost_budget:
    deterministic_only: false
    usd: 0.10
disable-model-invocation: true
---

# Body
"""


def test_front_matter_as_people_write_it_is_understood(tmp_path: Path) -> None:
    skill, extra, warnings = only(write(tmp_path / "pdf", FOUND_IN_THE_WILD))

    assert skill.name == "pdf-tools-pro"
    assert skill.description.startswith("将 PDF 转换为 Markdown。当用户提到:(1)")
    assert skill.description.endswith("""— MUST load; it's "good\"""")
    assert extra.allowed_tools == ("Read", "Bash(npx x@latest status*)", "mcp__project__query")
    assert extra.metadata == {
        "argument-hint": "[--auto] [--until <stage>]",
        "homepage": "https://example.org/tree/master/x",
        "tools": '["read","search"]',
        "url_patterns": '["*"]',
        "dom_markers": """["input[type='search']","[aria-label*='search' i]"]""",
        "cost_budget": '{"deterministic_only":"false","usd":"0.10"}',
        "disable-model-invocation": "true",
        "openclaw": '{"requires":{"bins":["ipfs"]},"tip":"a.b"}',
    }
    assert "unknown keys argument-hint" in warnings


ALL_FORMS = """---
plain: one two # a comment
number: 1.0
single: 'it''s' # a comment
double: "a\\tb \\u4e2d \\"q\\""
over: "one
  two

  three"
literal: |
  one
    two

  three
folded: >
  one
  two

  three
    code
  four
stripped: |-
  x
list:
- a
- b: c
  d: e
flow: [a, 'b, c', "d: e", {f: g}]
tools: [Read,
  Write]
map: {a: b, c: "d}"}
empty:
next: https://example.org/a:b
---
"""


def test_values_of_all_forms_are_read_as_text() -> None:
    assert read_front_matter(ALL_FORMS).problems == ()
    assert read_front_matter(ALL_FORMS).fields == {
        "plain": "one two",
        "number": "1.0",
        "single": "it's",
        "double": 'a\tb 中 "q"',
        "over": "one two\nthree",
        "literal": "one\n  two\n\nthree\n",
        "folded": "one two\nthree\n  code\nfour\n",
        "stripped": "x",
        "list": ["a", {"b": "c", "d": "e"}],
        "flow": ["a", "b, c", "d: e", {"f": "g"}],
        "tools": ["Read", "Write"],
        "map": {"a": "b", "c": "d}"},
        "empty": "",
        "next": "https://example.org/a:b",
    }
