"""Who is still there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.storage import liveness
from agent.storage.liveness import BEAT_TTL_S, is_alive, new_owner, release

NOW = 1_000_000_000


def test_an_open_store_of_this_process_is_alive_until_it_is_closed() -> None:
    owner = new_owner()

    assert is_alive(owner, NOW, NOW)
    release(owner)
    assert not is_alive(owner, NOW, NOW)


def test_a_beat_that_is_over_or_missing_is_death_anywhere() -> None:
    owner = new_owner()
    elsewhere = "|".join(("far", *owner.split("|")[1:]))
    late = NOW - int(BEAT_TTL_S * 1000) - 1

    assert not is_alive(owner, late, NOW)
    assert not is_alive(elsewhere, late, NOW)
    assert not is_alive(owner, None, NOW)
    assert not is_alive(None, NOW, NOW)
    assert is_alive(elsewhere, NOW, NOW)
    release(owner)


def test_another_process_is_alive_as_long_as_it_runs() -> None:
    code = "import agent.storage.liveness as l; print(l.new_owner(), flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    owner = process.stdout.readline().strip()

    assert is_alive(owner, NOW, NOW)
    process.communicate("\n")
    assert not is_alive(owner, NOW, NOW)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_id_that_was_given_again_is_not_the_old_owner() -> None:
    host, boot, _, _, mark = new_owner().split("|")
    parent = os.getppid()

    assert not is_alive("|".join((host, boot, str(parent), "1", mark)), NOW, NOW)
    assert is_alive("|".join((host, boot, str(parent), "", mark)), NOW, NOW)  # where the start is not known, the id has to do


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_process_is_dead_before_its_parent_takes_note() -> None:
    code = "import agent.storage.liveness as l; print(l.new_owner(), flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    owner = process.stdout.readline().strip()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays in the table of processes

    assert not is_alive(owner, NOW, NOW)
    process.communicate()


def test_without_the_files_of_linux_the_heartbeat_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    liveness._here.cache_clear()
    monkeypatch.setattr(liveness, "_read", lambda path: "")
    monkeypatch.setattr(liveness, "_link", lambda path: "")
    owner = new_owner()

    assert is_alive(owner, NOW, NOW)
    release(owner)
    assert not is_alive(owner, NOW, NOW)
    monkeypatch.undo()
    liveness._here.cache_clear()


def test_a_strange_owner_is_judged_by_its_beat() -> None:
    assert is_alive("somebody", NOW, NOW)
    assert not is_alive("somebody", 0, NOW)
    host, boot, *_ = new_owner().split("|")
    assert is_alive(f"{host}|{boot}|x|1|y", NOW, NOW)
