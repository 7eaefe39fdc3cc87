"""The entry: runs a command, and turns what went wrong into a sentence and an exit code."""

import os
import sys
from importlib import metadata
from typing import NoReturn


def main() -> NoReturn:
    """Run the command of `sys.argv` and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:  # without loading anything else
        sys.stdout.write(f"seasoned {metadata.version('seasoned')}\n")
        sys.exit(0)
    _prepare_streams()
    from agent.cli.app import app
    from agent.cli.endings import code_of, sentence_of
    from agent.cli.outlet import tell

    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell expects of a program that was interrupted
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("SEASONED_DEBUG"):
            raise
        tell(f"error: {sentence_of(error)}")
        sys.exit(code_of(error))
    sys.exit(0)


def _prepare_streams() -> None:
    """Let text that a terminal's encoding lacks be written all the same."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
