"""`wscheck serve`: the embedded reference backend on a port, with its policies and faults."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import asyncio


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="Port; 0 selects a free one.")] = 8000,
    policy: Annotated[
        str,
        typer.Option(
            metavar="replace|reject|allow",
            help="What a user's second connection causes: it replaces the first, is rejected, or is allowed.",
        ),
    ] = "replace",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Give the backend a fault to try wscheck on (repeatable); see `wscheck docs reference-backend`.",
        ),
    ] = None,
    log_format: Annotated[str, typer.Option(metavar="blocks|json", help="Format of the server's log.")] = "blocks",
    namespace: Annotated[str, typer.Option(metavar="NAME", help="Socket.IO namespace.")] = "/",
    path: Annotated[str, typer.Option(metavar="PATH", help="Path of the Socket.IO endpoint.")] = "/socket.io",
    ping_interval: Annotated[int, typer.Option(metavar="MS", min=1000, help="Milliseconds between pings.")] = 25_000,
    ping_timeout: Annotated[int, typer.Option(metavar="MS", min=100, help="Milliseconds to wait for a pong.")] = 20_000,
    transports: Annotated[str, typer.Option(metavar="LIST", help="Transports to offer.")] = "polling,websocket",
) -> None:
    """Run the reference backend, a server to try wscheck on.

    It keeps one connection per user and writes its log to stdout. The token of user X is token-of-X.
    Check it from another terminal:

    WSCHECK_TOKEN=token-of-user_123 wscheck verify http://127.0.0.1:8000
    """
    import asyncio

    from wscheck.backend.faults import SecondConnectionPolicy, parse_faults
    from wscheck.backend.log_writer import LogFormat, ServerLogWriter
    from wscheck.config.settings import ChoiceParser, parse_namespace, parse_transports
    from wscheck.model.errors import UsageError

    try:
        options = {
            "log_writer": ServerLogWriter(_write, LogFormat(ChoiceParser(tuple(LogFormat))(log_format))),
            "policy": SecondConnectionPolicy(ChoiceParser(tuple(SecondConnectionPolicy))(policy)),
            "faults": parse_faults(fault or ()),
            "namespace": parse_namespace(namespace),
            "path": path,
            "ping_interval_s": ping_interval / 1000,
            "ping_timeout_s": ping_timeout / 1000,
            "transports": parse_transports(transports),
        }
    except ValueError as error:
        raise UsageError(f"{error}.", "See wscheck serve --help.") from None
    asyncio.run(_serve(options, host, port))


async def _serve(options: dict[str, Any], host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM arrives."""
    from wscheck.backend.demo_tokens import token_for
    from wscheck.backend.server import ReferenceBackend, serve_backend

    async with serve_backend(ReferenceBackend(**options), host, port) as url:
        stopped = _stop_event()
        arguments = f"{url}{_client_flags(namespace=options['namespace'], path=options['path'])}"
        typer.echo(f"check it: WSCHECK_TOKEN={token_for('user_123')} wscheck verify {arguments}", err=True)
        typer.echo(f"listening on {url}", err=True)
        await stopped.wait()


def _client_flags(**values: str) -> str:
    """Return the flags that a client needs in addition to the URL, as text for a command line.

    `values` are the namespace and the path. A value that equals its default needs no flag.
    """
    import shlex

    defaults = {"namespace": "/", "path": "/socket.io"}
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in values.items() if value != defaults[name])


def _stop_event() -> "asyncio.Event":
    """Return an `asyncio.Event` that SIGINT and SIGTERM set. They end a server normally, with exit code 0."""
    import asyncio
    import signal

    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    return stopped


def _write(text: str) -> None:
    """Write to stdout without buffering, so that the log can be followed."""
    sys.stdout.write(text)
    sys.stdout.flush()
