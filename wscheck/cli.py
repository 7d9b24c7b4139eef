"""Command-line application: it parses the arguments, runs one command, and converts the outcome to an exit code.

It imports no large library, so that `wscheck --help` is fast.
"""

import errno
import os
import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from wscheck import __version__
from wscheck.commands import text_encoding as plain
from wscheck.commands.alerts import alerts
from wscheck.commands.browser import browser
from wscheck.commands.compare import compare
from wscheck.commands.config import config
from wscheck.commands.docs import docs
from wscheck.commands.explain import explain, rules
from wscheck.commands.har import har
from wscheck.commands.init import init
from wscheck.commands.load import load
from wscheck.commands.mcp import mcp
from wscheck.commands.scan import scan
from wscheck.commands.serve import serve
from wscheck.commands.tail_logs import tail_logs
from wscheck.commands.verify import verify
from wscheck.model.errors import ExitCode, WscheckError


class OutputClosed(Exception):
    """Error that replaces BrokenPipeError if the program that reads stdout, such as `head`, has closed it.

    For a BrokenPipeError, Typer would exit with 1, the exit code for findings.
    """


class Interrupted(Exception):
    """Error for Ctrl-C before there are results. It replaces KeyboardInterrupt, so that a message can be printed.

    For a KeyboardInterrupt, Typer would exit without a message.
    """


def _handle_interruption(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (BrokenPipeError, OutputClosed):
            raise OutputClosed from None
        except KeyboardInterrupt:
            raise Interrupted from None

    return run


class _Command(TyperCommand):
    """Command whose help shows arguments without the Python type that Typer adds (`PATH <list[str]>`)."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                vars(parameter)["display_type_rich"] = lambda ctx: None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Set the values of the parameters in `ctx`, and return the arguments that no parameter takes.

        Typer's own method converts every value with pydantic, even strings and options that were not given, and
        importing pydantic takes as long as importing Typer. This method therefore sets the values itself if none needs
        a conversion. Otherwise it calls Typer's method.
        """
        values, rest, _ = self.make_parser(ctx).parse_args(args=list(args))
        if rest or not all(_needs_no_conversion(each, values.get(each.name)) for each in self.get_params(ctx)):
            return super().parse_args(ctx, args)
        for parameter in self.params:
            value = values.get(parameter.name)
            ctx.params[parameter.name] = parameter.default if value is None else value
        return rest


def _needs_no_conversion(parameter: Any, parsed: object) -> bool:
    """Return whether the parsed value of a parameter can be used without Typer's conversion.

    `parsed` is None if the parameter was not given.
    """
    if parsed is None:
        return not (parameter.required or parameter.envvar)
    if parameter.callback is not None:
        return False
    descriptor = getattr(parameter, "type_descriptor", None)  # absent in versions of Typer without pydantic
    return isinstance(parsed, bool) or (descriptor is not None and descriptor.annotation in (str, list[str]))


class _CommandGroup(TyperGroup):
    """Command line as a whole: the options that precede the command, and all commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options that precede the command.

        A flag that was not given gets the value False, because Typer would import pydantic to convert None.
        """
        flags = [each.name for each in self.get_params(ctx) if getattr(each, "is_flag", False)]
        ctx.default_map = dict.fromkeys(flags, False)
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_CommandGroup,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    verify,
    browser,
    scan,
    har,
    load,
    compare,
    tail_logs,
    alerts,
    mcp,
    serve,
    init,
    config,
    rules,
    explain,
    docs,
):
    app.command(cls=_Command)(_handle_interruption(command))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wscheck {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find duplicate, leaked and churning real-time connections.

    Start with `wscheck verify`: it checks an embedded backend and needs nothing else. `wscheck` without arguments
    suggests commands for the working folder.
    """
    if context.invoked_subcommand is None:
        from wscheck.commands.suggestions import describe, suggestions

        typer.echo(describe(suggestions(Path.cwd())))


def main() -> None:
    """Run the command line. Every outcome has its own exit code, so that a crash never looks like a verdict."""
    _open_standard_descriptors()
    if sys.stdout is None:
        if sys.stderr is not None:
            typer.echo("wscheck: Standard output is closed.\n  next: Discard it with >/dev/null instead.", err=True)
        sys.exit(ExitCode.USAGE)
    if isinstance(sys.stdout, TextIOWrapper):
        # The terminal's encoding may not contain ✓.
        sys.stdout.reconfigure(errors=plain.ASCII_FALLBACK)
    try:
        app()
    except WscheckError as error:
        from wscheck.config.settings import with_flags
        from wscheck.report.formatting import escape_control

        text = with_flags(f"wscheck: {error.problem}\n  next: {error.next_step}")
        typer.echo(escape_control(text), err=True)
        _flush_stdout()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, Interrupted):
        typer.echo("wscheck: interrupted", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except SystemExit as end:
        # Ctrl-C before a command has started: Typer ends without a message.
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):
            typer.echo("wscheck: interrupted", err=True)
        raise
    except (BrokenPipeError, OutputClosed):
        # The program that reads stdout closed it, as `| head` does.
        _discard_stdout()
        sys.exit(ExitCode.CLEAN)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _report_defect(error)
            sys.exit(ExitCode.INTERNAL)
        _discard_stdout()
        typer.echo(f"wscheck: The output cannot be written: {error.strerror}.\n  next: Free some disk space.", err=True)
        sys.exit(ExitCode.USAGE)
    except Exception as error:
        _report_defect(error)
        sys.exit(ExitCode.INTERNAL)


def _open_standard_descriptors() -> None:
    """Open /dev/null for each closed standard stream, so that no file or socket of the run gets its descriptor."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _flush_stdout() -> None:
    """Write buffered output. A failure to write does not change the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()


def _discard_stdout() -> None:
    """Discard buffered output, so that the interpreter does not try to write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_defect(error: Exception) -> None:
    """Print the type of an internal error and the line that raised it, but not its message.

    The message may contain a secret. With WSCHECK_DEBUG, raise the error instead, which shows the traceback.
    """
    if os.environ.get("WSCHECK_DEBUG"):
        raise error
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
    typer.echo(
        f"wscheck: internal error, not a verdict: {type(error).__name__}{where}\n"
        "  next: Run again with WSCHECK_DEBUG=1 for the traceback, and report it.",
        err=True,
    )


if __name__ == "__main__":
    main()
