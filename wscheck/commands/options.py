"""The options that several commands share, so that they read the same everywhere."""

from typing import Annotated

import typer

Namespace = Annotated[str | None, typer.Option(help="Namespace [/].")]
Endpoint = Annotated[str | None, typer.Option(help="Endpoint [/socket.io].")]
Insecure = Annotated[bool | None, typer.Option("--insecure", help="Do not verify the TLS certificate.")]
Timeout = Annotated[str | None, typer.Option(metavar="DURATION", help="For a connection [20s].")]
UserIn = Annotated[str | None, typer.Option(metavar="PLACE", help="Where the user id travels [auth.userId].")]
TokenIn = Annotated[str | None, typer.Option(metavar="PLACE", help="Where the token travels [auth.token].")]
IdentityRule = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Where the user is found [auth.userId]: query.token|jwt:id, cookie.NAME, event:add user[0].",
    ),
]
SourceRoot = Annotated[
    str | None, typer.Option(metavar="DIR", help="The checkout's folder that holds the frontend [its root].")
]
Grace = Annotated[str | None, typer.Option(metavar="DURATION", help="Allowed overlap of two connections [250ms].")]
MaxAttempts = Annotated[str | None, typer.Option(metavar="N/DURATION", help="Allowed attempts [5/10s].")]
FailOn = Annotated[str | None, typer.Option(metavar="error|warning|note", help="What fails the run [error].")]
Strict = Annotated[bool | None, typer.Option("--strict", help="What could not be judged fails the run.")]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORMAT[=PATH]", help="terminal, json, ndjson, junit, github, sarif, html, markdown (repeatable)."
    ),
]
