"""Consoles of the terminal library rich, which read no markup in the texts that they print."""

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console


def new_console(
    file: TextIO | None = None,
    *,
    stderr: bool = False,
    width: int | None = None,
    coloured: bool = True,
    environ: Mapping[str, str] | None = None,
) -> Console:
    """Return a console that prints texts as they are: `[red]` and `:smile:` in a user id are no markup.

    Args:
        file: The stream, stdout by default; `stderr` chooses standard error.
        width: Columns, None for those of the terminal.
        coloured: False for a text without escape sequences.
        environ: Environment variables such as NO_COLOR, None for those of the process.
    """
    return Console(
        file=file,
        stderr=stderr,
        width=width,
        color_system="auto" if coloured else None,
        highlight=False,
        markup=False,
        emoji=False,
        _environ=environ,
    )
