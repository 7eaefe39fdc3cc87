"""People look after what was learnt, from the shell."""

import json
from typing import Any

from tests.cli.conftest import Command


def teach(seasoned: Command, rule: str, *, task: str = "count the apples") -> str:
    """Have a run corrected, and return the id of what was learnt."""
    seasoned("run", task, "--model", seasoned.script("five"))
    seasoned("feedback", "add", "last", "--correction", rule, "--by", "ada")
    return str(items(seasoned)[0]["experience_id"])


def items(seasoned: Command, *options: str) -> list[dict[str, Any]]:
    return seasoned.events(seasoned("memory", "ls", "--json", *options).stdout)


def told(seasoned: Command) -> list[str]:
    """Return the ids of the experiences that a next run of the same task is told."""
    seasoned.run("six")
    step = json.loads(seasoned("step", "show", "last/1", "--json").stdout)
    return [one["experience_id"] for one in step["data"].get("experiences", [])]


def test_an_experience_is_listed_shown_edited_closed_and_put_back(seasoned: Command) -> None:
    item_id = teach(seasoned, "Count the apples twice.")

    assert "Count the apples twice." in seasoned("memory", "ls").stdout
    edited = seasoned("memory", "edit", "last", "--rule", "Count the apples three times.", "--by", "bob").stdout
    assert "- rule: Count the apples twice." in edited
    assert "+ rule: Count the apples three times." in edited
    assert told(seasoned) == [item_id]
    seasoned("memory", "retire", item_id, "--by", "bob")
    assert told(seasoned) == []
    assert [one["state"] for one in items(seasoned)] == ["retired"]
    assert items(seasoned, "--state", "active") == []
    seasoned("memory", "restore", item_id, "--by", "bob")
    assert told(seasoned) == [item_id]
    shown = seasoned("memory", "show", item_id[:-1]).stdout
    assert [line.split("  ")[2] for line in shown.splitlines() if "by bob" in line] == ["edited by bob", "made retired by bob", "restored by bob"]
    assert "(feedback by ada), Count the apples twice." in shown


def test_what_is_only_logged_is_told_once_a_person_says_so(seasoned: Command) -> None:
    item_id = teach(seasoned, "Count the apples twice.")
    (data,) = seasoned.events(seasoned("memory", "export", "--no-cases").stdout)
    data["experience"] |= {"experience_id": "exp-shadow", "state": "shadow", "trust": "model", "rule": "Weigh the apples."}
    seasoned("memory", "import", "-", stdin=json.dumps(data))

    assert told(seasoned) == [item_id]
    assert "seasoned memory prove exp-shadow" in seasoned("memory", "show", "exp-shadow").stderr
    seasoned("memory", "activate", "exp-shadow", "--by", "ada")
    assert set(told(seasoned)) == {item_id, "exp-shadow"}


def test_a_search_finds_by_words_and_filters_hold(seasoned: Command) -> None:
    teach(seasoned, "Answer in kilograms.")
    teach(seasoned, "Name the orchard.", task="where do pears grow")

    assert [one["rule"] for one in items(seasoned, "--query", "orchards")] == ["Name the orchard."]
    assert items(seasoned, "--scope", "agent:other") == []
    assert len(items(seasoned, "--since", "1h", "--limit", "1")) == 1
    assert "no item has the state 'gone'" in seasoned("memory", "ls", "--state", "gone", code=2).stderr
    assert "kind 'idea' is not known" in seasoned("memory", "ls", "--kind", "idea", code=2).stderr
    assert items(seasoned, "--uid", "eve") == []


def test_forgetting_shows_first_asks_and_leaves_no_byte(seasoned: Command) -> None:
    teach(seasoned, "Count the zanzibar apples twice.")
    run = seasoned.last_id()
    told(seasoned)
    later = seasoned.last_id()

    assert "1 item would be forgotten" in seasoned("memory", "forget", "last", "--dry-run").stderr
    assert "say --yes" in seasoned("memory", "forget", "last", code=2).stderr
    assert "say what to forget" in seasoned("memory", "forget", code=2).stderr
    assert "zanzibar" in seasoned("memory", "ls").stdout
    done = seasoned("memory", "forget", "--text", "zanzibar", "--yes")
    assert items(seasoned) == []
    assert "1 item was forgotten; that they were there" in done.stderr
    assert f"seasoned runs erase {run} --all" in done.stderr
    assert f"seasoned runs erase {later} --all" in done.stderr
    for one in (run, later):
        seasoned("runs", "erase", one, "--all", "--reason", "asked to", "--yes")
    assert seasoned("runs", "verify", run).returncode == 0
    left = [file for file in (seasoned.folder / ".seasoned").iterdir() if b"zanzibar" in file.read_bytes()]
    assert left == []


def test_what_was_learnt_goes_to_another_store_in_both_forms(seasoned: Command) -> None:
    first, second = teach(seasoned, 'Say "five" \n## and # not 5.'), teach(seasoned, "写出日期。", task="订单什么时候到？")
    seasoned("memory", "export", "all.jsonl")
    seasoned("memory", "export", "all.md", "--format", "md")

    for file, db in (("all.jsonl", "sqlite:///one.db"), ("all.md", "sqlite:///two.db")):
        taken = seasoned("memory", "import", file, "--db", db)
        assert {first, second} <= set(taken.stdout.split())
        assert "are here already" in seasoned("memory", "import", file, "--db", db).stderr
        assert seasoned("memory", "export", "--db", db).stdout == (seasoned.folder / "all.jsonl").read_text(encoding="utf-8")
    assert "is there already: name a new file" in seasoned("memory", "export", "all.md", code=2).stderr


def test_an_import_names_the_line_that_is_wrong_and_takes_nothing_in(seasoned: Command) -> None:
    teach(seasoned, "Count twice.")
    (good,) = seasoned("memory", "export", "--no-cases").stdout.splitlines()
    other = good.replace('"exp-', '"new-')
    bad = {
        "{": "line 2 is no JSON",
        '{"idea": {}}': "line 2 is no item",
        good.replace('"rule"', '"rules"'): "line 2: a experience has no field 'rules'",
        good.replace('"confidence": 0.6', '"confidence": "much"'): "line 2 is no experience",
        other: "stands in line 1 already",
    }

    for line, message in bad.items():
        failed = seasoned("memory", "import", "-", stdin=f"{other}\n{line}\n", code=2)
        assert message in failed.stderr.replace("line 2: 'new", "'new")
        assert len(items(seasoned)) == 1
    assert "make it 'eve''s with --as-mine" in seasoned("memory", "import", "-", "--uid", "eve", stdin=other, code=2).stderr
    seasoned("memory", "import", "-", "--uid", "eve", "--as-mine", stdin=other)
    assert [one["uid"] for one in items(seasoned, "--uid", "eve")] == ["eve"]
    assert "is 'eve''s in this store" in seasoned("memory", "import", "-", stdin=other, code=2).stderr


def test_what_was_forgotten_is_not_learnt_again_by_an_import(seasoned: Command) -> None:
    item_id = teach(seasoned, "Count twice.")
    seasoned("memory", "export", "kept.jsonl", "--no-cases")
    seasoned("memory", "forget", item_id, "--yes")

    assert f"{item_id} was forgotten here" in seasoned("memory", "import", "kept.jsonl").stderr
    assert items(seasoned) == []


def test_a_shared_item_reaches_every_uid_and_who_shared_it_is_on_the_record(seasoned: Command) -> None:
    item_id = teach(seasoned, "Count twice.")

    assert items(seasoned, "--uid", "eve") == []
    assert "Missing option '--by'" in seasoned("memory", "promote", item_id, code=2).stderr
    seasoned("memory", "promote", item_id, "--by", "ada")
    assert [one["experience_id"] for one in items(seasoned, "--uid", "eve")] == [item_id]
    history = json.loads(seasoned("memory", "show", item_id, "--json").stdout)["history"]
    assert (history[-1]["change"], history[-1]["by"]) == ("promoted", "ada")


def test_lessons_that_say_nearly_the_same_are_shown_and_made_one_by_a_person(seasoned: Command) -> None:
    older = teach(seasoned, "Count all the red apples in the basket twice before you answer.")
    newer = teach(seasoned, "Count all the red apples in the basket twice before you reply.", task="count the apples please")
    assert older != newer

    (conflict,) = seasoned.events(seasoned("memory", "conflicts", "--json").stdout)
    shown = seasoned("memory", "conflicts")
    assert "- " in shown.stdout
    assert "+ " in shown.stdout
    assert f"--accept {conflict['conflict_id']}" in shown.stderr
    merged = json.loads(seasoned("memory", "conflicts", "--accept", conflict["conflict_id"], "--by", "ada", "--json").stdout)
    assert set(merged["evidence"]) >= {step for one in (conflict["older"], conflict["newer"]) for step in one["evidence"]}
    assert told(seasoned) == [merged["experience_id"]]


def test_an_empty_rule_is_refused_and_sharing_what_is_closed_says_that_nobody_is_told(seasoned: Command) -> None:
    item_id = teach(seasoned, "Count them twice.")
    edited = seasoned("memory", "edit", item_id, "--rule", "  ", code=2)
    (seasoned.folder / "blank.jsonl").write_text(seasoned("memory", "export").stdout.replace("Count them twice.", ""))
    imported = seasoned("memory", "import", "blank.jsonl", code=2)
    seasoned("memory", "retire", item_id)
    shared = seasoned("memory", "promote", item_id, "--by", "ada")

    assert "would be empty" in edited.stderr
    assert "line 1: the rule of" in imported.stderr
    assert "are told it where it fits" not in shared.stderr
    assert "told to no run: it is retired" in shared.stderr
