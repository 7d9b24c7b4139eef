"""The README is run: every command in it works, and prints what the README says it prints."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import environment
from tests.docs.transcripts import ROOT, Step, transcripts
from tests.frontend import built
from tests.needs import needs

README = transcripts("README.md")
PORT = re.compile(r"\b800[0-2]\b")

Shell = Callable[..., str]


def named(steps: list[Step]) -> str:
    return steps[-1].command.split(" --")[0]


@pytest.mark.parametrize("steps", README, ids=map(named, README))
def test_the_readme_transcripts_are_real(steps: list[Step], tmp_path: Path) -> None:
    port = str(free_port())
    with background(tmp_path) as shell:
        for step in steps:
            expected, told = shown(shell, step, port)
            if told != expected:  # a machine that is held up for a second or two does less in a run of two seconds
                expected, told = shown(shell, step, port)
            assert told == expected, step.command


def shown(shell: Shell, step: Step, port: str) -> tuple[str, str]:
    """What the step should print, and what it does."""
    # How often a long run tells of its progress depends on the machine.
    return step.tells(shell(PORT.sub(port, step.command), progress=not step.figures))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def background(home: Path) -> Iterator[Shell]:
    """A shell in an empty home with `wscheck` on its PATH; what it leaves running ends with the block."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**environment(home), "PATH": path}
    left: list[subprocess.Popen[bytes]] = []

    (home / "examples").symlink_to(ROOT / "examples")

    def run(command: str, *, progress: bool = True) -> str:
        if "npm ci" in command:  # once for all test workers, who share the folder
            built()
            return ""
        if "browser" in command:
            needs("chromium")
        if command.endswith("&"):
            with (home / "ready").open("wb") as err:
                left.append(subprocess.Popen(f"exec {command[:-1]}", shell=True, cwd=home, env=environ, stderr=err))
            wait_until_ready(home / "ready")
            return ""
        done = subprocess.run(
            command, shell=True, cwd=home, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr * progress

    try:
        yield run
    finally:
        for process in left:
            process.kill()
            process.wait()


def wait_until_ready(said: Path) -> None:
    deadline = time.monotonic() + 20
    while "listening on" not in said.read_text():
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.02)
