"""The first run on a machine where not everything can be had: `uv` is a stand-in that refuses what it is told to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND

ROOT = Path(__file__).parents[2]
UV = """#!/usr/bin/env python3
import os, pathlib, sys
with open({log!r}, "a") as log:
    print(*sys.argv[1:], file=log)
if sys.argv[1] == "venv":
    folder = pathlib.Path(sys.argv[-1])
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").touch()
    (folder / "bin" / "seasoned").symlink_to({command!r})
elif sys.argv[-1].endswith({refused!r}):
    print("error: no such wheel", file=sys.stderr)
    sys.exit(1)
"""


class Machine:
    """A checkout with the examples alone, and a `uv` that keeps a log."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "uv.log"
        shutil.copytree(ROOT / "examples", folder / "project" / "examples")
        (folder / "bin").mkdir()

    def first_run(self, *arguments: str, refused: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        uv = self.folder / "bin" / "uv"
        uv.write_text(UV.format(log=str(self.log), command=COMMAND, refused=refused))
        uv.chmod(0o755)
        env = {"PATH": f"{uv.parent}:{os.environ['PATH']}", "HOME": str(self.folder), "LANG": "C.UTF-8", "HF_ENDPOINT": "http://127.0.0.1:9"}
        first_run = self.folder / "project" / "examples" / "first_run.py"
        return subprocess.run([sys.executable, first_run, *arguments], env=env, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_size_is_said_before_the_download_begins(machine: Machine) -> None:
    done = machine.first_run(refused=("[local,local-weights]", "[local]"))

    assert done.stdout.startswith("Installing seasoned and its embedded model into ")
    assert "the download is about 0.53 GB" in done.stdout
    assert [line.rpartition("project")[2] for line in machine.log.read_text().splitlines()] == ["/.venv", "[local,local-weights]", "[local]", ""]


def test_the_environment_has_a_pip_of_its_own_so_that_extras_can_be_added(machine: Machine) -> None:
    machine.first_run("--scripted", refused=())

    assert "--seed" in machine.log.read_text().splitlines()[0].split()


def test_where_the_wheels_are_gone_a_labelled_script_takes_the_models_place(machine: Machine) -> None:
    done = machine.first_run(refused=("[local,local-weights]", "[local]"))

    assert done.returncode == 0, done.stderr
    assert "── SCRIPTED RUN: the embedded model's packages could not be installed" in done.stdout
    assert "Ada ordered 3 apples and 2 lemons" in done.stdout
    assert "read_file" in done.stderr
    assert "To get a model" in done.stdout


def test_a_script_can_be_asked_for(machine: Machine) -> None:
    done = machine.first_run("--scripted", refused=())

    assert done.returncode == 0, done.stderr
    assert "── SCRIPTED RUN: --scripted was given" in done.stdout
    assert "local" not in machine.log.read_text().replace("localhost", "").partition("project")[2].partition("\n")[0]


def test_where_nothing_can_be_installed_it_says_so(machine: Machine) -> None:
    done = machine.first_run(refused=("",))

    assert done.returncode == 1
    assert "seasoned itself could not be installed" in done.stderr
