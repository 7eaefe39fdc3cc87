"""`seasoned skills`, and the skills of a project's folders, as a person would use them."""

import json
import zipfile
from pathlib import Path
from typing import Any

import skills_ref
from tests.cli.conftest import Command

TEXT = "---\nname: {name}\ndescription: How an invoice is written.\n{more}---\n\nAdd the tax number. See references/rates.md.\n"
USE = {"tool_calls": [{"name": "use_skill", "arguments": {"name": "invoices"}}]}


def write(folder: Path, name: str = "invoices", more: str = "", rates: str = "21 %") -> Path:
    (folder / name / "references").mkdir(parents=True, exist_ok=True)
    (folder / name / "SKILL.md").write_text(TEXT.format(name=name, more=more))
    (folder / name / "references" / "rates.md").write_text(rates)
    return folder / name


def lines_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def results_of(out: str) -> list[str]:
    return [event["data"]["result"] for event in lines_of(out) if event["type"] == "tool_result"]


def test_a_skill_is_imported_listed_shown_used_exported_and_retired(seasoned: Command) -> None:
    write(seasoned.folder / "mine", more="version: 2\n")
    imported = seasoned("skills", "import", "mine", "--by", "ada")
    again = seasoned("skills", "import", "mine")
    (listed,) = lines_of(seasoned("skills", "ls", "--json").stdout)
    ran = seasoned("run", "Write an invoice", "--model", seasoned.script(USE, "done"), "--json")
    shown = seasoned("skills", "show", "invoices")
    rates = seasoned("skills", "show", "invoices", "--file", "references/rates.md")
    seasoned("skills", "export", "invoices", "--to", "out")
    seasoned("skills", "retire", "invoices")

    assert "added: invoices (scope user, of anonymous)" in imported.stderr
    assert "warning: unknown keys version" in imported.stderr
    assert "unchanged: invoices" in again.stderr
    assert (listed["name"], listed["uid"], listed["author"], listed["metadata"]) == ("invoices", "anonymous", "ada", {"version": "2"})
    assert listed["files"] == [{"path": "references/rates.md", "size_bytes": 4}]
    assert "Add the tax number" in results_of(ran.stdout)[0]
    assert shown.stdout.startswith("---\nname: invoices\ndescription: How an invoice is written.\n")
    assert rates.stdout == "21 %\n"
    assert skills_ref.validate(seasoned.folder / "out" / "invoices") == []
    assert (seasoned.folder / "out" / "invoices" / "references" / "rates.md").read_text() == "21 %"
    assert lines_of(seasoned("skills", "ls", "--json").stdout) == []
    assert [skill["state"] for skill in lines_of(seasoned("skills", "ls", "--all", "--json").stdout)] == ["retired"]
    assert "skills ls" in seasoned("skills", "show", "invoices", code=2).stderr


def test_another_uid_sees_only_what_is_shared(seasoned: Command) -> None:
    write(seasoned.folder / "mine")
    write(seasoned.folder / "ours", "letters")
    seasoned("skills", "import", "mine", "--uid", "ada")
    seasoned("skills", "import", "ours", "--uid", "ada", "--shared")
    seen = {uid: sorted(skill["name"] for skill in lines_of(seasoned("skills", "ls", "--json", "--uid", uid).stdout)) for uid in ("ada", "bob")}

    assert seen == {"ada": ["invoices", "letters"], "bob": ["letters"]}
    assert seasoned("skills", "export", "invoices", "--uid", "bob", code=2).stdout == ""


def test_an_archive_is_imported_and_a_dry_run_changes_nothing(seasoned: Command) -> None:
    folder = write(seasoned.folder / "mine")
    with zipfile.ZipFile(seasoned.folder / "mine.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder.parent))
    dry = seasoned("skills", "import", "mine.zip", "--dry-run")
    empty = seasoned("skills", "ls")
    seasoned("skills", "import", "mine.zip", "--scope", "agent:clerk", "--trust", "web")
    (listed,) = lines_of(seasoned("skills", "ls", "--json").stdout)

    assert "would be imported: invoices" in dry.stderr
    assert "has no skill here" in empty.stderr
    assert (listed["scope"], listed["trust"], len(listed["files"])) == ("agent:clerk", "web", 1)


def test_validate_says_what_a_strict_reader_refuses(seasoned: Command) -> None:
    write(seasoned.folder / "all", "good")
    write(seasoned.folder / "all", "bad", more="colour: red\n")
    good = seasoned("skills", "validate", "all/good")
    both = seasoned("skills", "validate", "all", code=1)
    told = lines_of(seasoned("skills", "validate", "all", "--json", code=1).stdout)

    assert good.stdout.startswith("valid: ")
    assert "unknown keys colour" in both.stdout
    assert [report["is_valid"] for report in told] == [False, True]
    assert "has no skill in it" in seasoned("skills", "validate", "all/good/references", code=2).stderr


def test_the_folders_of_a_project_are_brought_in_before_a_run_and_follow_what_changes(seasoned: Command) -> None:
    (seasoned.folder / "seasoned.toml").write_text('[skills]\npaths = ["skills", "missing"]\n')
    write(seasoned.folder / "skills")
    (seasoned.folder / "skills" / "broken").mkdir()
    (seasoned.folder / "skills" / "broken" / "SKILL.md").write_bytes(b"\xff\xfe")
    script = seasoned.script(USE, "done")
    first = seasoned("run", "Write an invoice", "--model", script, "--json")
    second = seasoned("run", "Write an invoice", "--model", script, "--json", "--uid", "bob")
    (seasoned.folder / "skills" / "invoices" / "SKILL.md").write_text(TEXT.format(name="invoices", more="").replace("tax", "order"))
    third = seasoned("run", "Write an invoice", "--model", script, "--json")
    (seasoned.folder / "skills" / "invoices").rename(seasoned.folder / "elsewhere")
    fourth = seasoned("run", "Write an invoice", "--model", script, "--json")

    assert "skill invoices: added" in first.stderr
    assert "skill not used" in first.stderr
    assert "SKILL.md is no UTF-8 text" in first.stderr
    assert "there is no" in first.stderr
    assert "skill invoices" not in second.stderr
    assert "tax number" in results_of(first.stdout)[0]
    assert "tax number" in results_of(second.stdout)[0]
    assert "skill invoices: replaced" in third.stderr
    assert "order number" in results_of(third.stdout)[0]
    assert "taken out of use" in fourth.stderr
    assert "No tools are offered" in results_of(fourth.stdout)[0]


def test_without_memory_no_folder_is_read(seasoned: Command) -> None:
    (seasoned.folder / "seasoned.toml").write_text('[skills]\npaths = ["skills"]\n')
    write(seasoned.folder / "skills")
    ran = seasoned("run", "Write an invoice", "--model", seasoned.script("done"), "--no-memory", "--json")

    assert "invoices" not in ran.stderr
    assert lines_of(seasoned("skills", "ls", "--json").stdout) == []


def test_what_was_learnt_is_distilled_read_by_a_person_and_imported(seasoned: Command) -> None:
    script = seasoned.script("first", name="first.json")
    for task, words in (("Write an invoice for books", "Name the order."), ("Write an invoice for lemons", "Add the tax.")):
        seasoned("run", task, "--model", script)
        seasoned("feedback", "add", "last", "--correction", words, "--by", "ada")
    draft = seasoned("memory", "distill", "--scope", "agent:default", "--name", "invoices")
    again = seasoned("memory", "distill", "--about", "an invoice", "--name", "invoices", code=2)
    seasoned("skills", "import", "skills/invoices")
    ran = seasoned("run", "Write an invoice for plums", "--model", seasoned.script(USE, "done"), "--json")
    (listed,) = lines_of(seasoned("skills", "ls", "--json").stdout)

    assert skills_ref.validate(seasoned.folder / "skills" / "invoices") == []
    assert "seasoned skills import skills/invoices --scope agent:default" in draft.stderr
    assert "written: skills/apart (1 experience)" in seasoned("memory", "distill", "last", "--name", "apart").stderr
    assert "is there already" in again.stderr
    assert "- Name the order." in results_of(ran.stdout)[0]
    assert "- Add the tax." in results_of(ran.stdout)[0]
    assert listed["metadata"]["seasoned-authors"] == "ada"
    assert len(listed["metadata"]["seasoned-experiences"].split()) == 2
    assert "no skill 'nosuch'" in seasoned("skills", "show", "nosuch", code=2).stderr
    assert "say which experiences" in seasoned("memory", "distill", code=2).stderr
