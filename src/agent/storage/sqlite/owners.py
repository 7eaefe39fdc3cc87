"""How the tables name whose something is."""


def owner_of(uid: str | None) -> str:
    """Return the owner for a uid. Nobody is an owner too, and no uid is taken for it."""
    return "" if uid is None else f"={uid}"
