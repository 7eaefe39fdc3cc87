"""Why it is told and whether it helps, from the command line."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Literal

from tests.cli.conftest import Command

from agent.assemble import open_store
from agent.models.learning import Arm, Use, Used
from agent.models.memory import Experience
from agent.storage.learning_port import LearningStore

SCOPE, UID = "agent:default", "anonymous"


def learn(seasoned: Command, *, outcomes: Sequence[tuple[Arm, float | None]], rule: str = "Count twice.", is_quarantined: bool = False) -> str:
    """Record runs that were told a rule, or spared it, and how they went; return the rule's id."""

    async def record() -> str:
        async with open_store(f"sqlite:///{seasoned.folder / '.seasoned' / 'runs.db'}") as store:
            memories = store.memories
            assert isinstance(memories, LearningStore)
            item_id = await memories.add_experience(Experience.create(SCOPE, "", rule, trust="model", uid=UID))
            for at, (arm, outcome) in enumerate(outcomes):
                item = Used(item_id=item_id, kind="rule", rank=0, score=0.5, arm=arm, propensity=0.5)
                whole: Literal["injected", "withheld"] = "withheld" if arm == "withheld" else "injected"
                await memories.record_use(Use(trace_id=f"seen-{at}", scope=SCOPE, uid=UID, items=(item,), arm=whole, propensity=0.5))
                if outcome is not None:
                    await memories.record_outcome(f"seen-{at}", outcome, signal="outcome", uid=UID)
            if is_quarantined:
                await memories.set_state(item_id, "shadow", by="quarantine", reason="runs go worse with it", uid=UID)
            return item_id

    return asyncio.run(record())


def test_a_correction_is_followed_from_the_prompt_back_to_the_person(seasoned: Command) -> None:
    seasoned.run("five")
    first = seasoned.last_id()
    seasoned("feedback", "add", "last", "--correction", "count the apples twice before you answer", "--by", "ada")
    seasoned.run("six")

    shown = seasoned("memory", "why", "last").stdout
    item_id = shown.partition("\n[")[2].partition("]")[0]
    item = seasoned("memory", "why", item_id).stdout
    lift = seasoned("memory", "lift").stdout
    step = next(line.split()[2].removeprefix(f"{first}/") for line in shown.splitlines() if "(feedback by ada)" in line)
    came = seasoned("memory", "why", f"{first}/{step}")

    assert came.stdout.startswith(f"[{item_id}]")
    assert "undo it: seasoned feedback undo" in came.stderr
    assert "nothing was learnt" in seasoned("memory", "why", f"{first}/0").stderr
    assert "count the apples twice before you answer" in shown
    assert f"learnt from {first}/" in shown
    assert "(feedback by ada)" in shown
    assert "told to 1" in item
    assert seasoned.last_id() in item
    assert f"{SCOPE}: not yet known (n=2, 0 of them count; about 493 more would show a lift of 0.2)" in lift
    assert "nothing was left to chance yet" in lift


def test_a_memory_that_helps_is_said_to_with_its_interval(seasoned: Command) -> None:
    seasoned.run("five")
    pair: list[tuple[Arm, float | None]] = [("injected", 1.0), ("withheld", 0.0)]
    item_id = learn(seasoned, outcomes=[*pair * 20, ("injected", None)])

    text = seasoned("memory", "lift").stdout
    data = json.loads(seasoned("memory", "lift", "--json").stdout)
    one = json.loads(seasoned("memory", "lift", item_id, "--json").stdout)

    assert f"{SCOPE}: helps: +1.00 (95 %: +0.77 to +1.00)" in text
    assert "told: 20 runs, 100 % went well; withheld: 20, 0 % went well" in text
    assert "nobody said how 1 told and 0 withheld runs went" in text
    assert (data["scope"], data["verdict"], data["estimate"], data["unknown_told"]) == (SCOPE, "helps", 1.0, 1)
    assert data["items"][0]["item_id"] == one["item_id"] == item_id
    assert one["lift"]["verdict"] == "helps"
    assert "helps: +0.9" in seasoned("memory", "lift", item_id).stdout


def test_an_item_under_suspicion_is_shown_as_such(seasoned: Command) -> None:
    seasoned.run("five")
    item_id = learn(seasoned, outcomes=[("injected", 0.0)] * 10)

    assert "on probation: runs told it go badly (evidence 10.7 of 10), a coin decides" in seasoned("memory", "lift", item_id).stdout


def test_what_was_learnt_lately_is_listed(seasoned: Command) -> None:
    seasoned.run("five")
    assert "nothing was learnt" in seasoned("memory", "learnt").stderr

    seasoned("feedback", "add", "last", "--correction", "Count twice.", "--by", "ada")
    text = seasoned("memory", "learnt", "--since", "1h").stdout
    data: dict[str, Any] = json.loads(seasoned("memory", "learnt", "--json").stdout)

    assert "1 experience, 0 cases" in text
    assert "Count twice. (active, by ada)" in text
    assert data["experiences"][0]["rule"] == "Count twice."


def test_what_is_not_there_is_said(seasoned: Command) -> None:
    assert "no store" in seasoned("memory", "lift", code=1).stderr

    seasoned.run("five", options=["--no-memory"])

    assert "was told nothing" in seasoned("memory", "why", "last").stderr
    assert "not known (n=0)" in seasoned("memory", "lift").stderr
    assert "exp-none" in seasoned("memory", "lift", "exp-none", code=2).stderr
    assert "nor is there an item of memory" in seasoned("memory", "why", "exp-none", code=2).stderr
    assert "is no age" in seasoned("memory", "learnt", "--since", "lately", code=2).stderr


def test_another_uid_sees_nothing_of_it(seasoned: Command) -> None:
    seasoned.run("five")
    item_id = learn(seasoned, outcomes=[("injected", 1.0), ("withheld", 0.0)] * 10)

    assert "not known (n=0)" in seasoned("memory", "lift", "--uid", "other").stderr
    seasoned("memory", "lift", item_id, "--uid", "other", code=2)
    seasoned("memory", "why", item_id, "--uid", "other", code=2)
    assert "nothing was learnt" in seasoned("memory", "learnt", "--uid", "other").stderr


def test_words_of_others_stay_on_their_line(seasoned: Command) -> None:
    seasoned.run("five")
    hostile = "Count.\n[exp-1] trust me\x1b[2J\u202e" + "x" * 5000
    item_id = learn(seasoned, outcomes=[("injected", 1.0)], rule=hostile)

    shown = seasoned("memory", "why", item_id).stdout + seasoned("memory", "learnt").stdout

    assert "\x1b" not in shown
    assert not any(line.startswith("[exp-1]") for line in shown.splitlines())
    assert max(map(len, shown.splitlines())) < 300


def test_what_was_quarantined_is_put_back_in_one_command(seasoned: Command) -> None:
    seasoned.run("five")
    failing: list[tuple[Arm, float | None]] = [("injected", 0.0)]
    pair: list[tuple[Arm, float | None]] = [("withheld", 1.0), ("injected", 0.0)]
    item_id = learn(seasoned, outcomes=[*failing * 9, *pair * 20], is_quarantined=True)

    before = seasoned("memory", "lift", item_id)
    said = seasoned("memory", "restore", item_id, "--by", "ada").stderr
    after = seasoned("memory", "lift", item_id).stdout

    assert "does harm" in before.stdout
    assert f"seasoned memory restore {item_id}" in before.stderr
    assert "is active again" in said
    assert "trusted" in after
    assert json.loads(seasoned("memory", "why", item_id, "--json").stdout)["state"] == "active"
    assert "nothing to take back" in seasoned("memory", "restore", item_id, code=2).stderr
    seasoned("memory", "restore", "exp-none", code=2)
    seasoned("memory", "restore", item_id, "--uid", "other", code=2)


def test_an_item_of_memory_can_be_pinned_or_excluded_for_one_run(seasoned: Command) -> None:
    seasoned.run("five")
    item_id = learn(seasoned, outcomes=[])
    seasoned.run("five", options=["--pin", item_id])
    pinned = seasoned("step", "show", "last/1").stdout
    seasoned.run("five", options=["--exclude", item_id])
    excluded = seasoned("step", "show", "last/1").stdout
    refused = seasoned.run("five", options=["--pin", "nothing"], code=2)

    assert "Count twice." in pinned
    assert "Count twice." not in excluded
    assert "no experience 'nothing'" in refused.stderr
