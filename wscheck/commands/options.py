"""Options that several commands share."""

from typing import Annotated

import typer

Protocol = Annotated[
    str | None,
    typer.Option(
        metavar="socket.io|websocket|sse",
        help="Protocol of the server [recognised]; sse is for server-sent events.",
    ),
]
Namespace = Annotated[str | None, typer.Option(metavar="NAME", help="Socket.IO namespace [/].")]
Endpoint = Annotated[str | None, typer.Option(metavar="PATH", help="Path of the Socket.IO endpoint [/socket.io].")]
Insecure = Annotated[bool | None, typer.Option("--insecure", help="Do not verify the server's TLS certificate.")]
Timeout = Annotated[str | None, typer.Option(metavar="DURATION", help="Time that a connection may take to open [20s].")]
WaitFor = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Time to wait for the server to start, e.g. 30s [no wait].")
]
UserIn = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help="Part of the handshake that contains the user id [auth.userId]: auth.NAME, query.NAME, header.NAME or "
        "cookie.NAME.",
    ),
]
TokenIn = Annotated[
    str | None,
    typer.Option(metavar="PLACE", help="Part of the handshake that contains the token [auth.token], as in --user-in."),
]
Auth = Annotated[
    list[str] | None,
    typer.Option("--auth", metavar="NAME=VALUE", help="Further field of the auth object (repeatable)."),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="NAME:VALUE",
        help="HTTP header of the handshake, e.g. 'Authorization: Bearer {token}' (repeatable).",
    ),
]
Cookie = Annotated[
    list[str] | None,
    typer.Option("--cookie", metavar="NAME=VALUE", help="Cookie, sent exactly as given (repeatable)."),
]
Query = Annotated[
    list[str] | None,
    typer.Option("--query", metavar="NAME=VALUE", help="Further query parameter of the URL (repeatable)."),
]
Anonymous = Annotated[
    bool | None, typer.Option("--anonymous", help="The server may accept a connection without a token.")
]
IdentityRule = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Part of a page's traffic that contains the user id [auth.userId]. See `wscheck docs browser`.",
    ),
]
SourceRoot = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder of the repository that contains the frontend [its root]."),
]
Grace = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Time that two connections of a user may overlap [250ms]."),
]
MaxAttempts = Annotated[
    str | None,
    typer.Option(metavar="N/DURATION", help="Connection attempts allowed per user in a time window [5/10s]."),
]
Marker = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND=TEXT",
        help="Text that identifies an event of KIND in the log: connected='user {user} came on {sid}' (repeatable).",
    ),
]
Key = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=NAME", help="Key under which the log contains an id, for example user=uid (repeatable)."
    ),
]
Connections = Annotated[
    str | None,
    typer.Option(
        metavar="per-user|per-tab|N",
        help="Connections that a user may have: one, one per page, or N. See `wscheck docs policy`.",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="REPORT.json", help="Report of an earlier run, whose findings do not fail this one."),
]
FailOn = Annotated[
    str | None, typer.Option(metavar="error|warning|note", help="Lowest severity that fails the run [error].")
]
Strict = Annotated[bool | None, typer.Option("--strict", help="An inconclusive result fails the run.")]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch", help="Run again when a source file below the current folder changes; print the differences."
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FORMAT[=PATH]",
        help="terminal, json, ndjson, junit, github, sarif, codequality, html, markdown (repeatable).",
    ),
]
