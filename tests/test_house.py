"""The house rules that no other tool checks; CONTRIBUTING.md says why they are there."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "agent"
FILE_LINES, FUNCTION_LINES, NESTING, INIT_LINES = 400, 50, 4, 40
NO_SUBJECT = {"base", "common", "helper", "helpers", "misc", "shared", "util", "utils"}  # names that say a kind, not what is inside

# (file, rule or function): why the rule does not hold there. One that is not needed any more fails.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("src/agent/__init__.py", "defines nothing"): "public names load on first use, so that `import agent` costs little",
}

# Written in pieces, so that this file does not hold what it looks for.
FOREIGN = re.compile(
    "|".join(
        [
            r"pypi\." + "org",
            "python" + r"hosted\.org",
            r"registry\.npm" + "js",
            r"(?<![\w.])/" + r"(?:work|root)/",
            r"/opt/" + "pypi",
            r"/home/(?!you/|me/|ada/)" + r"\w+/",
        ]
    )
)
TEXT = {"", ".cfg", ".css", ".html", ".js", ".json", ".jsonl", ".md", ".py", ".pyi", ".sh", ".sql", ".toml", ".ts", ".tsx", ".txt", ".yaml", ".yml"}
NOT_OURS = {"__pycache__", "build", "dist", "htmlcov", "node_modules", "uv.lock", ".git", ".venv"}


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in NOT_OURS or path.name.endswith((".egg-info", "_cache")) or path.name.startswith((".coverage", ".hypothesis", ".venv")):
            continue
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


FILES = [path for path in _walk(ROOT) if path.suffix in TEXT]
CODE = [path for path in FILES if path.suffix == ".py" and not path.is_relative_to(ROOT / "bench" / "peers")]  # that one is kept as it was handed to us
INITS = [path for path in CODE if path.name == "__init__.py" and path.is_relative_to(PACKAGE)]
BLOCKS = ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def depth(node: ast.AST) -> int:
    """Return how many blocks lie inside each other below `node`; `elif` is no deeper than its `if`."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and [child] == node.orelse
        deepest = max(deepest, depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def defined_by(tree: ast.Module) -> list[str]:
    """Return what a module holds besides its docstring, its imports and `__all__`."""
    found = []
    for node in tree.body:
        is_all = isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in ast.unparse(node).partition("=")[0]
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (is_all or is_docstring or isinstance(node, ast.Import | ast.ImportFrom)):
            found.append(ast.unparse(node).partition("\n")[0])
    return found


def taken_from_a_room(tree: ast.Module) -> list[str]:
    """Return imports of a name from a package that only passes it on."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "agent" and not node.level:
            folder = PACKAGE.parent.joinpath(*(node.module or "").split("."))
            names = [alias.name for alias in node.names if not (folder / f"{alias.name}.py").exists() and not (folder / alias.name).is_dir()]
            found += [f"line {node.lineno}: from {node.module} import {name}" for name in names if folder.is_dir()]
    return found


def breaches(path: Path) -> dict[str, str]:
    """Return which rules a file of code breaks, and how."""
    text = path.read_text()
    tree, lines, found = ast.parse(text), text.count("\n"), {}
    if lines > (most := INIT_LINES if path in INITS else FILE_LINES):
        found["file"] = f"{lines} lines, at most {most}: split it by subject"
    for function in functions(tree):
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES:
            found[function.name] = f"{length} lines, at most {FUNCTION_LINES}"
        elif (deep := depth(function)) > NESTING:
            found[function.name] = f"{deep} blocks inside each other, at most {NESTING}"
    if path.stem in NO_SUBJECT:
        found["name"] = "the name says a kind of thing: name its subject"
    return found | (_breaches_of_an_init(tree, text) if path in INITS else {})


def _breaches_of_an_init(tree: ast.Module, text: str) -> dict[str, str]:
    found = {"defines nothing": f"an __init__ only passes on names: {extra}"} if (extra := defined_by(tree)) else {}
    return found | ({} if "__all__" in text else {"__all__": "an __init__ has an __all__"})


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_the_file_keeps_the_house_rules(path: Path) -> None:
    found = {rule: how for rule, how in breaches(path).items() if (name_of(path), rule) not in EXCEPTIONS}

    assert found == {}


@pytest.mark.parametrize("path", [path for path in CODE if path.is_relative_to(PACKAGE) and path not in INITS], ids=name_of)
def test_names_are_imported_from_where_they_are_defined(path: Path) -> None:
    assert taken_from_a_room(ast.parse(path.read_text())) == []


def test_the_rules_see_what_they_look_for(tmp_path: Path) -> None:
    bad = tmp_path / "utils.py"
    deep = "".join(f"{'    ' * level}if {level}:\n" for level in range(1, 6))
    bad.write_text(f"def deep():\n{deep}{'    ' * 6}pass\ndef long():\n" + "    pass\n" * FILE_LINES)

    assert breaches(bad).keys() == {"file", "name", "deep", "long"}
    assert defined_by(ast.parse('"""Doc."""\nimport os\n__all__: list[str] = []\nx = 1')) == ["x = 1"]
    assert taken_from_a_room(ast.parse("from agent import Trace\nfrom agent.models import trace")) == ["line 1: from agent import Trace"]
    assert FOREIGN.search("see /" + "work/notes")


@pytest.mark.parametrize(("name", "rule"), EXCEPTIONS)
def test_the_exception_is_still_needed(name: str, rule: str) -> None:
    assert rule in breaches(ROOT / name)
    assert EXCEPTIONS[name, rule]


def test_every_room_has_one_job_of_its_own() -> None:
    jobs = {name_of(path): (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0] for path in INITS}

    assert all(jobs.values()), jobs
    assert len(set(jobs.values())) == len(jobs), jobs


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for path in CODE if path.is_relative_to(PACKAGE)}

    assert [name_of(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_file_names_no_registry_and_no_path_of_a_machine(path: Path) -> None:
    found = [f"{name_of(path)}:{number}: {line}" for number, line in enumerate(path.read_text().splitlines(), 1) if FOREIGN.search(line)]

    assert found == []


def test_every_requirement_is_pinned_to_a_release_that_fits() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    wanted = [line for lines in (project["project"]["dependencies"], *extras.values(), *groups.values()) for line in lines if isinstance(line, str)]
    pins = [Requirement(line) for line in project["tool"]["uv"]["constraint-dependencies"]]
    pinned = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}

    loose = [line for line in wanted if pinned.get(canonicalize_name(Requirement(line).name), "0") not in Requirement(line).specifier]

    assert loose == [], "run scripts/lock"
    assert not pinned.keys() & {"torch", "litellm"}


def test_every_fragment_of_the_changelog_names_its_issue_and_kind() -> None:
    names = [path.name for path in (ROOT / "changes").iterdir() if path.name != "README.md"]

    assert [name for name in names if not re.fullmatch(r"\d+\.(added|changed|deprecated|removed|fixed|security)\.md", name)] == []
