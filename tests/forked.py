"""`wscheck` forked from a process that has imported all it needs: one of its own, without an interpreter's start."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO

ROOT = Path(__file__).parents[1]

_one_at_a_time = Lock()


def forked(arguments: list[str], cwd: Path, environ: dict[str, str], within: float) -> tuple[int, str, str]:
    """Runs `wscheck ARGUMENTS` and waits for its end: exit code, stdout, stderr."""
    with _one_at_a_time, tempfile.TemporaryDirectory(prefix="wscheck-said-") as folder:
        said = [Path(folder, "out"), Path(folder, "err")]
        asked, answers = _origin()
        asked.write(json.dumps([arguments, str(cwd), environ, list(map(str, said))]) + "\n")
        asked.flush()
        pid = int(answers.readline())
        in_time = bool(select.select([answers], [], [], within)[0])
        if not in_time:
            os.kill(pid, signal.SIGKILL)
        code = int(answers.readline())
        if not in_time:
            raise subprocess.TimeoutExpired(arguments, within)
        out, err = (each.read_text(encoding="utf-8") for each in said)
        return code, out, err


@cache
def _origin() -> tuple[IO[str], IO[str]]:
    """The process to fork from, of which each test worker has one: where to ask it, and where it answers."""
    clean = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    command, pipe = [sys.executable, "-m", "tests.forked"], subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, env=clean, stdin=pipe, stdout=pipe, text=True)
    assert process.stdin is not None and process.stdout is not None
    atexit.register(process.communicate)
    return process.stdin, process.stdout


def _modules() -> Iterator[str]:
    """All of wscheck but what runs in a Locust process: no command imports that."""
    for path in sorted(ROOT.glob("wscheck/**/*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[1] not in ("loadgen", "locust", "load") and not parts[-1].startswith("__"):
            yield ".".join(parts)


def main() -> None:
    """Forks for each line that asks for it and tells how that ended. A fork goes on as `wscheck` itself, to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for its forks; it ends with whoever asks it
    for module in _modules():
        import_module(module)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            return _become_wscheck(*json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    return None


def _become_wscheck(arguments: list[str], cwd: str, environ: dict[str, str], said: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in enumerate([os.devnull, *said]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["wscheck", *arguments]
    import_module("wscheck.__main__").main()


if __name__ == "__main__":
    main()
