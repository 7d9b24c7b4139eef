"""`wscheck mcp`: the checks as tools for coding agents, over the Model Context Protocol."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import asyncio

    from wscheck.model.errors import ExitCode
    from wscheck.run.mcp.access import Access
    from wscheck.run.mcp.server import ToolServer


def mcp(
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST|DIR",
            help="Host that the tools may contact, or folder that they may read, in addition to the loopback addresses "
            "and the working folder (repeatable).",
        ),
    ] = None,
) -> None:
    """Serve the checks as tools for coding agents (MCP).

    It speaks the Model Context Protocol on stdin and stdout. An MCP client starts it: the client's configuration
    contains the command `wscheck` with the argument `mcp`. The tools watch a page, scan source code, evaluate logs and
    HAR files, verify a server, and explain rules. See `wscheck docs mcp`.

    Exit codes: 0 the client closed stdin, 2 usage, 130 interrupted by Ctrl-C or SIGTERM.
    """
    import asyncio
    import contextlib
    import logging
    from pathlib import Path

    from wscheck.model.errors import MissingExtra, UsageError
    from wscheck.run.mcp.access import new_access

    access = new_access(allow or [], Path.cwd(), Path.home())
    with contextlib.redirect_stdout(sys.stderr):  # stdout carries messages of the protocol only
        try:
            import mcp.server.stdio  # noqa: F401
        except ImportError:
            raise MissingExtra("`wscheck mcp` needs the MCP SDK, which is not installed here.", "mcp") from None
    # The messages of the SDK contain arguments, and clients keep stderr.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    logging.getLogger("mcp").propagate = False
    if sys.stdin is None:
        raise UsageError("Standard input is closed, and an MCP client writes to it.", "Let the client start it.")
    if sys.stdin.isatty():
        typer.echo("waiting for an MCP client on stdin; `wscheck docs mcp` shows its configuration", err=True)
    asyncio.run(_serve(access))


async def _serve(access: "Access") -> None:
    """Serve until the client closes stdin.

    If the server ends for another reason, such as Ctrl-C, exit the process at once: a thread of the MCP SDK still
    reads stdin, and a normal exit would wait for this thread.
    """
    import contextlib
    import os

    from mcp.server.stdio import stdio_server

    from wscheck.run.mcp.server import ToolServer

    stdout = sys.stdout
    async with stdio_server() as (read, write):
        # Descriptor 1 is a copy of stderr here, but text may wait in the buffer of sys.stdout until it is stdout again.
        with contextlib.redirect_stdout(sys.stderr):
            code = await _serve_streams(ToolServer(access), read, write)
        with contextlib.suppress(OSError):
            stdout.flush()
        if code is not None:
            sys.stderr.flush()
            os._exit(code)


async def _serve_streams(tools: "ToolServer", read: Any, write: Any) -> "ExitCode | None":
    """Serve until the client closes stdin, and return None. If the server ends otherwise, return its exit code.

    `read` and `write` are the message streams of the MCP SDK for stdin and stdout.
    """
    import asyncio

    from wscheck.model.errors import ExitCode

    server, stopped = tools.server(), _end_signal()
    serving = asyncio.ensure_future(server.run(read, write, server.create_initialization_options()))
    waiting = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:  # the client does not read stdout any more
        await _end(tools, serving)
        return ExitCode.CLEAN
    waiting.cancel()
    if not stopped.is_set():
        return None if serving.exception() is None else ExitCode.INTERNAL
    await _end(tools, serving)
    typer.echo("wscheck: interrupted", err=True)
    return ExitCode.INTERRUPTED


async def _end(tools: "ToolServer", serving: "asyncio.Future[None]") -> None:
    """Cancel the tool calls that are running, then the server task `serving`.

    This works also if the calling task has been cancelled.
    """
    import asyncio

    import anyio

    with anyio.CancelScope(shield=True):
        await tools.close()
        serving.cancel()
        await asyncio.wait([serving], timeout=1.0)


def _end_signal() -> "asyncio.Event":
    """Return an `asyncio.Event` that is set when Ctrl-C, SIGTERM or SIGHUP arrives."""
    import asyncio
    import contextlib
    import signal

    from wscheck.commands.exit_codes import END_SIGNALS

    ended = asyncio.Event()
    for name in ("SIGINT", *END_SIGNALS):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended
