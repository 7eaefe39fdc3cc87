"""Every promise is kept by a test, and every test of this kind keeps a promise."""

import ast
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from promises import PROMISES  # type: ignore[import-not-found]  # it lies beside this file


def kept() -> Counter[str]:
    """Return the promises that tests of this folder name."""
    found: Counter[str] = Counter()
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name.startswith("test_"):
                calls = [d for d in node.decorator_list if isinstance(d, ast.Call) and isinstance(d.func, ast.Name) and d.func.id == "keeps"]
                found.update(str(ast.literal_eval(call.args[0])) for call in calls)
    return found


def test_every_promise_is_kept_by_a_test() -> None:
    assert [promise for promise in PROMISES if promise not in kept()] == []


def test_every_test_that_keeps_a_promise_keeps_one_that_was_made() -> None:
    assert [promise for promise in kept() if promise not in PROMISES] == []


def test_promises_are_sentences_of_their_own() -> None:
    assert len(set(PROMISES.values())) == len(PROMISES)
    assert all(sentence.endswith(".") for sentence in PROMISES.values())
