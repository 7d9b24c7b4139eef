"""The command line: it parses, calls one command, and turns what comes of it into an exit code.

Imports nothing heavy: `wscheck --help` must feel instant, and a Locust process must never meet socketio.
"""

import errno
import os
import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from wscheck import __version__
from wscheck.commands import text_encoding as plain
from wscheck.commands.browser import browser
from wscheck.commands.compare import compare
from wscheck.commands.config import config
from wscheck.commands.docs import docs
from wscheck.commands.explain import explain, rules
from wscheck.commands.har import har
from wscheck.commands.init import init
from wscheck.commands.load import load
from wscheck.commands.serve import serve
from wscheck.commands.tail_logs import tail_logs
from wscheck.commands.verify import verify
from wscheck.model.errors import ExitCode, WscheckError


class ReaderLeft(Exception):
    """Nobody reads our output any more. Typer would end a BrokenPipeError with 1, which reads as findings."""


class Interrupted(Exception):
    """Ctrl-C where nothing was there to report yet. Typer would end without a word."""


def _until_reader_leaves(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (BrokenPipeError, ReaderLeft):
            raise ReaderLeft from None
        except KeyboardInterrupt:
            raise Interrupted from None

    return run


class _Command(TyperCommand):
    """Names its arguments as the usage line does: Typer would add their Python types (`PATH <list[str]>`)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                vars(parameter)["display_type_rich"] = lambda ctx: None


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (verify, browser, har, load, compare, tail_logs, serve, init, config, rules, explain, docs):
    app.command(cls=_Command)(_until_reader_leaves(command))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wscheck {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Prove that a Socket.IO application holds exactly one connection per user.

    Start with `wscheck verify`: it checks an embedded backend and needs nothing else.
    """


def main() -> None:
    """What the console script runs. A crash must never read as a verdict, so every way out has its own exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal without ✓ in its encoding gets its verdict all the same.
        sys.stdout.reconfigure(errors=plain.ERRORS)
    try:
        app()
    except WscheckError as error:
        typer.echo(f"wscheck: {error.problem}\n  next: {error.next_step}", err=True)
        _let_go_of_stdout()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, Interrupted):
        typer.echo("wscheck: interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except SystemExit as end:
        # Ctrl-C before a command has begun: Typer ends it without a word.
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):
            typer.echo("wscheck: interrupted", err=True)
        raise
    except (BrokenPipeError, ReaderLeft):
        # The reader of our output left (| head): nothing is wrong, and nothing more can be said.
        _say_no_more()
        sys.exit(ExitCode.CLEAN)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _confess(error)
            sys.exit(ExitCode.INTERNAL)
        _say_no_more()
        typer.echo(f"wscheck: The output cannot be written: {error.strerror}.\n  next: Make room.", err=True)
        sys.exit(ExitCode.USAGE)
    except Exception as error:
        _confess(error)
        sys.exit(ExitCode.INTERNAL)


def _let_go_of_stdout() -> None:
    """Write what still waits, unless that is what went wrong: then it would also change the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _say_no_more()


def _say_no_more() -> None:
    """What still waits to be written must not fail once more when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _confess(error: Exception) -> None:
    """Name the defect without a traceback's values, which could hold a secret."""
    if os.environ.get("WSCHECK_DEBUG"):
        raise error
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
    typer.echo(
        f"wscheck: this is a defect in wscheck, not a verdict: {type(error).__name__}{where}\n"
        "  next: run again with WSCHECK_DEBUG=1 for the traceback, and report it",
        err=True,
    )


if __name__ == "__main__":
    main()
