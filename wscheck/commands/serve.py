"""`wscheck serve`: the embedded reference backend on a port, with its policies and faults."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import asyncio


def serve(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    policy: Annotated[
        str, typer.Option(metavar="replace|reject|allow", help="What a user's second connection does.")
    ] = "replace",
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Misbehave (repeatable): `wscheck docs reference-backend`."),
    ] = None,
    log_format: Annotated[str, typer.Option(metavar="blocks|json", help="How the log is written.")] = "blocks",
    namespace: Annotated[str, typer.Option(metavar="NAME", help="Socket.IO namespace.")] = "/",
    path: Annotated[str, typer.Option(metavar="PATH", help="Path of the Socket.IO endpoint.")] = "/socket.io",
    ping_interval: Annotated[int, typer.Option(metavar="MS", min=1000, help="Milliseconds between pings.")] = 25_000,
    ping_timeout: Annotated[int, typer.Option(metavar="MS", min=100, help="Milliseconds to wait for a pong.")] = 20_000,
    transports: Annotated[str, typer.Option(metavar="LIST", help="Transports to offer.")] = "polling,websocket",
) -> None:
    """Run the reference backend, to try things on.

    It keeps one socket per user and writes the documented log to stdout. The token of user X is token-of-X, so
    that in another terminal this checks it:

    WSCHECK_TOKEN=token-of-user_123 wscheck verify http://127.0.0.1:8000
    """
    import asyncio

    from wscheck.backend.faults import SecondConnectionPolicy, parse_faults
    from wscheck.backend.log_writer import LogFormat, ServerLogWriter
    from wscheck.config.settings import one_of
    from wscheck.config.settings import parse_namespace as named_space
    from wscheck.config.settings import parse_transports as chosen
    from wscheck.model.errors import UsageError

    try:
        options = {
            "log_writer": ServerLogWriter(_write, LogFormat(one_of(*LogFormat)(log_format))),
            "policy": SecondConnectionPolicy(one_of(*SecondConnectionPolicy)(policy)),
            "faults": parse_faults(fault or ()),
            "namespace": named_space(namespace),
            "path": path,
            "ping_interval_s": ping_interval / 1000,
            "ping_timeout_s": ping_timeout / 1000,
            "transports": chosen(transports),
        }
    except ValueError as error:
        raise UsageError(f"{error}.", "See wscheck serve --help.") from None
    asyncio.run(_serve(options, host, port))


async def _serve(options: dict[str, Any], host: str, port: int) -> None:
    """Until it is told to end."""
    from wscheck.backend.demo_tokens import token_for
    from wscheck.backend.server import ReferenceBackend, serve_backend

    async with serve_backend(ReferenceBackend(**options), host, port) as url:
        stopped = _stopping()
        told = f"{url}{_further(namespace=options['namespace'], path=options['path'])}"
        typer.echo(f"check it: WSCHECK_TOKEN={token_for('user_123')} wscheck verify {told}", err=True)
        typer.echo(f"listening on {url}", err=True)
        await stopped.wait()


def _further(**told: str) -> str:
    """What a client must be told beside the URL, as flags."""
    import shlex

    usual = {"namespace": "/", "path": "/socket.io"}
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in told.items() if value != usual[name])


def _stopping() -> "asyncio.Event":
    """Set by SIGINT or SIGTERM, which is how a server ends and no failure; from before it says that it listens."""
    import asyncio
    import signal

    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    return stopped


def _write(text: str) -> None:
    """At once: whoever tails this log must not wait for a buffer."""
    sys.stdout.write(text)
    sys.stdout.flush()
