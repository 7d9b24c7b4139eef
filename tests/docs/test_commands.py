"""Commands and variables in the documents: the command line accepts each command, and each variable exists."""

import re
import shlex
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer.main

from wscheck.cli import app
from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.config.settings import SETTINGS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples" / "bot-dashboard" / "README.md"]
COMMAND: Any = typer.main.get_command(app)

_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.S | re.M)
_OUTPUT = re.compile(r"^```text\n.*?^```$", re.S | re.M)
"""Output that no command of wscheck printed."""
_CALL = re.compile(r"(?:^|[ (/])wscheck ([a-z][a-z-]*)((?: .*)?)$", re.M)
_VARIABLE = re.compile(r"\bWSCHECK_[A-Z\d_]*[A-Z\d]\b(?!_|\*)")


def calls(page: Path) -> list[str]:
    """Return each `wscheck COMMAND ...` in the blocks and sentences of a document."""
    text = _OUTPUT.sub("", page.read_text(encoding="utf-8"))
    blocks = "\n".join(_BLOCK.findall(text)).replace("\\\n", " ")
    sentences = "\n".join(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", _BLOCK.sub("", text)))
    # `from wscheck import NAME` is Python.
    return sorted({f"{name}{rest}" for name, rest in _CALL.findall(f"{blocks}\n{sentences}") if name != "import"})


def arguments_of(call: str) -> list[str]:
    """Return the words of a command, without pipes and redirections."""
    words = shlex.split(re.sub(r"<\([^)]*\)", "PIPE", call), comments=True)
    return list(takewhile(lambda word: word not in ("|", "&", ">", "2>"), words))


CALLS = [(page.name, call) for page in PAGES for call in calls(page)]


@pytest.mark.parametrize(("page", "call"), CALLS)
def test_every_documented_command_is_valid(page: str, call: str) -> None:
    name, *arguments = arguments_of(call)
    assert name in COMMAND.commands, call
    if arguments != ["--help"]:
        # A name without arguments only mentions the command.
        COMMAND.commands[name].make_context(name, arguments, resilient_parsing=not arguments)


def test_commands_were_found() -> None:
    assert len(CALLS) > 60
    assert {call.split()[0] for _, call in CALLS} >= set(COMMAND.commands)


def test_exactly_the_known_variables_are_documented() -> None:
    documented = {name for page in PAGES for name in _VARIABLE.findall(page.read_text(encoding="utf-8"))}
    read = {name for path in (ROOT / "wscheck").rglob("*.py") for name in _VARIABLE.findall(path.read_text())}
    defined = {setting.variable for setting in SETTINGS.values()} | {option.variable for option in LOAD_OPTIONS}
    assert documented == read - {"WSCHECK_LOAD_NAME", "WSCHECK_KEY", "WSCHECK_EXEC_RUN"} | defined
