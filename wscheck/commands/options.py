"""The options that several commands share, so that they read the same everywhere."""

from typing import Annotated

import typer

Namespace = Annotated[str | None, typer.Option(metavar="NAME", help="Socket.IO namespace [/].")]
Endpoint = Annotated[str | None, typer.Option(metavar="PATH", help="Path of the Socket.IO endpoint [/socket.io].")]
Insecure = Annotated[bool | None, typer.Option("--insecure", help="Do not verify the server's TLS certificate.")]
Timeout = Annotated[str | None, typer.Option(metavar="DURATION", help="How long a connection may take [20s].")]
UserIn = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help="Where the user id travels [auth.userId]: auth.NAME, query.NAME, header.NAME or cookie.NAME.",
    ),
]
TokenIn = Annotated[str | None, typer.Option(metavar="PLACE", help="Where the token travels, likewise [auth.token].")]
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
Grace = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="How long two connections of a user may overlap [250ms]."),
]
MaxAttempts = Annotated[
    str | None,
    typer.Option(metavar="N/DURATION", help="Connection attempts of a user allowed in a window [5/10s]."),
]
Marker = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND=TEXT",
        help="Other wording, e.g. connected='user online', connected='user {user} came on {sid}' (repeatable).",
    ),
]
Key = Annotated[
    list[str] | None, typer.Option(metavar="FIELD=NAME", help="Other names of ids, e.g. user=uid (repeatable).")
]
FailOn = Annotated[
    str | None, typer.Option(metavar="error|warning|note", help="The severity that fails the run [error].")
]
Strict = Annotated[bool | None, typer.Option("--strict", help="What could not be judged fails the run.")]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORMAT[=PATH]", help="terminal, json, ndjson, junit, github, sarif, html, markdown (repeatable)."
    ),
]
