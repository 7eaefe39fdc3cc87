"""Bringing a store's file up to date."""

from agent.cli.outlet import tell
from agent.cli.place import Place, opened
from agent.errors import BadInput


async def migrate_store(place: Place) -> None:
    """Open the store, which migrates it, and say from which format to which.

    Raises:
        BadInput: the store has no file.
        ForeignFile, FormatTooNew, StoreUnusable: it cannot be used.
    """
    from agent.storage.sqlite.schema import format_of

    file = place.file
    if file is None:
        raise BadInput(f"{place.url!r} has no file: there is nothing to migrate")
    before = format_of(file) if file.exists() and file.stat().st_size else None
    async with opened(place, may_make=True):
        after = format_of(file)
    if before is None:
        tell(f"{file}: made, with format {after}")
    elif before == after:
        tell(f"{file}: has format {after} already, the newest that this version knows")
    else:
        tell(f"{file}: migrated from format {before} to {after}")
