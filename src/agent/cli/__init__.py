"""The command line: `seasoned`."""

__all__: list[str] = []
