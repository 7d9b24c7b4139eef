"""Command lines that wscheck parses without Typer: each parameter gets the value that Typer would give it."""

from typing import Any

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from wscheck.cli import app

LINES = (
    "tail-logs",
    "tail-logs a.log b.log --no-follow",
    "tail-logs --key user=uid a.log --key sid=socket --grace 1s --marker=",
    "tail-logs --users 3 a.log",
    "tail-logs --checkpoint state.json -- -",
    "verify",
    "verify http://localhost:3000 --strict",
    "verify --no-insecure --scenario race",
    "har a.har b.har",
    "compare a.json b.json",
    "explain multiple-connections",
    "load --no-such-option",
    "rules too many",
    "har",
    "tail-logs --users many",
)


def parsed(command: TyperCommand, parse: Any, arguments: list[str]) -> object:
    """Return the values that `parse` gives to the parameters, or its error."""
    context = command.context_class(command, info_name=command.name)
    with context.scope(cleanup=False):
        try:
            rest = parse(command, context, list(arguments))  # Typer empties the list
        except Exception as error:
            return type(error), str(error)
    # Typer gives a function None or a list for a parameter that may be repeated.
    values = {
        name: list(value) or None if isinstance(value, tuple) else value for name, value in context.params.items()
    }
    return rest, values


@pytest.mark.parametrize("line", LINES)
def test_parameters_have_the_values_that_typer_would_give_them(line: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    name, *arguments = line.split()
    command = group.commands[name]
    assert isinstance(command, TyperCommand)
    assert parsed(command, type(command).parse_args, arguments) == parsed(command, TyperCommand.parse_args, arguments)
