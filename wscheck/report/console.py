"""Consoles of the terminal library rich that print every text literally, even if it looks like the library's markup."""

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
    """Return a console that prints texts as they are: `[red]` and `:smile:` in a user id have no effect.

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
