"""Every code block in README and docs runs, every link leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def run(page: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", ROOT / "tests/run_page.py", page], capture_output=True, text=True, check=False)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_code_on_the_page_runs(page: Path) -> None:
    done = run(page)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_the_links_of_the_page_lead_somewhere(page: Path) -> None:
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]

    assert dead == []


@pytest.mark.parametrize("readme", sorted(ROOT.glob("README*.md")), ids=name_of)
def test_a_readme_skips_no_more_than_its_two_set_up_commands(readme: Path) -> None:
    assert readme.read_text().count("<!-- test: skip: set-up") <= 2


GOOD = """
<!-- test: file: greeting.py -->
```python
async def greet(name: str) -> str:
    return f"hello {name}"
```
1. in a list, with names that stay and `await` anywhere:
   ```python
   from greeting import greet
   said = await greet("you")
   ```
```python
assert said == "hello you"
```
<!-- test: exit: 3 -->
```bash
test "$SEASONED_MODEL" = openai:scripted && exit 3
```
```console
$ echo one; echo two 22 three
one
two … three
$ echo four
```
<!-- test: replies: ["hi", {"tool": "add", "arguments": {"a": 1}}] -->
```python
import json, os, urllib.request

def ask(**more):
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps({"messages": [], **more}).encode())
    with urllib.request.urlopen(request) as reply:
        return reply.read().decode()

assert json.loads(ask())["choices"][0]["message"]["content"] == "hi"
assert '\\\\"a\\\\": 1' in ask(stream=True)
assert "Done." in ask()
```
<!-- test: skip: set-up: installs what the tests run in -->
```bash
exit 1
```
"""


def test_a_page_is_run_as_a_reader_would_run_it(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(GOOD)

    done = run(tmp_path / "page.md")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("\n```python\n1 / 0\n```", "page.md:2: ZeroDivisionError"),
        ("```python\nawait nothing()\n```", "NameError"),
        ("```bash\nfalse\ntrue\n```", "exit code 1, not 0"),
        ("```console\n$ echo one\ntwo\n```", "but the page says"),
        ("```toml\na = \n```", "TOMLDecodeError"),
        ("```python\n", "the block has no end"),
        ("```python\n>>> 1\n```", "without >>>"),
        ("<!-- test: skip: because -->\n```bash\n```", "skipped only for"),
        ("<!-- test: skip: set-up -->\n```bash\n```", "the reason in words"),
        ("<!-- test: sleep: 3 -->\n```bash\n```", "unknown marks"),
        ("<!-- test: exit: 3 -->\ntext\n```bash\n```", "right above a block"),
    ],
)
def test_a_page_that_does_not_hold_fails(page: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(page)

    done = run(tmp_path / "page.md")

    assert done.returncode == 1
    assert why in done.stderr
