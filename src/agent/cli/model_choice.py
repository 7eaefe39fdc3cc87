"""The model of a run: an alias of seasoned.toml, `scripted:FILE.json`, or a name that `open_model` knows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.outlet import tell
from agent.cli.project_file import Project
from agent.errors import BadInput, ConfigInvalid
from agent.models.value import Value

if TYPE_CHECKING:
    from agent.llm.retry import Retry
    from agent.llm.weights import Tell


class Choice(Value, frozen=True, kw_only=True):
    """A model that is ready to be called, the name under which the run records it, and settings that go with it."""

    name: str
    llm_call: Any
    settings: dict[str, Any] = {}
    note: str | None = None  # what a reader must know of it


def choose_model(name: str | None, project: Project, *, progress: "Tell | None" = None) -> Choice:
    """Return the model called `name`; without a name the default of this machine.

    Raises:
        BadInput: the name, or a script, cannot be used.
        ModelNotConfigured: none is configured, or its key or extra is missing.
    """
    from agent.llm.available import default_model
    from agent.llm.names import EMBEDDED
    from agent.llm.script import SCRIPTED, open_script

    wanted = name if name is not None else default_model()
    entry = project.models.get(wanted)
    target = entry.model if entry is not None else wanted
    settings = dict(entry.settings) if entry is not None else {}
    if target.startswith(SCRIPTED):
        folder = project.folder if entry is not None else Path.cwd()
        path = (folder / Path(target.removeprefix(SCRIPTED)).expanduser()).absolute()
        model = open_script(path)
        played = f"scripted: the replies come from {path.name}; no model is asked"
        return Choice(name=wanted if entry is not None else f"{SCRIPTED}{path}", llm_call=model, settings=settings, note=played)
    note = _keys_without_extra() if name is None and wanted == EMBEDDED else None
    return Choice(name=wanted, llm_call=_opened(wanted, target, project, progress), settings=settings, note=note)


def _keys_without_extra() -> str | None:
    """Return which keys are set and of no use here, and what to install; the embedded model is used in their place."""
    from agent.llm.available import provider_statuses

    held = [status for status in provider_statuses() if status.key_name is not None and not status.is_usable and status.default_model is not None]
    lines = [f"{status.key_name} is set, but {status.provider} cannot be used: {status.advice}" for status in held]
    return "\n".join(lines) or None


def _tell_retry(retry: "Retry") -> None:
    tell(f"{retry.error.message}; trying again in {retry.wait_s:.1f} s ({retry.attempt} of {retry.retries})")


def _opened(wanted: str, target: str, project: Project, progress: "Tell | None") -> Any:
    from agent.assemble import open_model
    from agent.llm.names import parse_chain

    entry = project.models.get(wanted)
    options = dict(entry.options) if entry is not None else {}
    try:
        is_local = any(one.endpoint.way == "embedded" for one in parse_chain(target))
    except BadInput as error:
        aliases = f"; the aliases of {project.file} are {', '.join(sorted(project.models))}" if project.models else ""
        raise BadInput(f"{error}{aliases}") from None
    if is_local and progress is not None:
        options["progress"] = progress
    if progress is not None:  # somebody reads what is told
        options["on_retry"] = _tell_retry
    if entry is not None and entry.base_url is not None:
        options["base_url"] = entry.base_url
    try:
        return open_model(target, **options)
    except BadInput as error:
        if entry is None:
            raise
        raise ConfigInvalid(f"{project.file}: models.{wanted}: {error}") from None
