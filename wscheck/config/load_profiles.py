"""Profiles and options of a load run. Both the command line and the Locust process use them."""

from typing import Any

import msgspec

LOAD_PROFILES = {
    "unified": "one connection per user, shared by all components; no reconnect after a server disconnect",
    "duplicated": "two components each open a connection and reconnect after a server disconnect: the documented fault",
    "tabs": "each user has several tabs, each with a connection that reconnects after a server disconnect",
    "strict-mode": "each page opens a connection, drops it and opens another at once, as React's StrictMode does",
    "storm": "one connection per user; after a server restart all users reconnect, with or without jitter",
    "soak": "one connection per user, open for a long time, with few events",
}
"""Profile name to the behaviour of a user's page."""


class LoadOption(msgspec.Struct, frozen=True):
    """One option of a load run, given to Locust as an argument or an environment variable.

    kind  type of the value; converts the text of the argument or variable
    """

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...] | None = None
    secret: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "WSCHECK_LOAD_" + self.name.upper()


LOAD_OPTIONS = (
    LoadOption(
        "protocol",
        str,
        "socket.io",
        "protocol of the server at --host, with whose path websocket and event-stream connect",
        ("socket.io", "websocket", "event-stream"),
    ),
    LoadOption("namespace", str, "/", "Socket.IO namespace"),
    LoadOption("socketio_path", str, "/socket.io", "path of the Socket.IO endpoint"),
    LoadOption(
        "transport", str, "websocket", "websocket, or polling and then the upgrade", ("websocket", "polling-upgrade")
    ),
    LoadOption("insecure", bool, False, "do not verify the server's TLS certificate"),
    LoadOption("ca_file", str, None, "PEM file of a certificate authority to trust in addition"),
    LoadOption("query", str, None, "query of the handshake, as a=1&b=2", secret=True),
    LoadOption("headers", str, None, "headers of the handshake, one Name: value per line", secret=True),
    LoadOption("connect", str, None, "JSON of [connect], as `wscheck load` passes it", secret=True),
    LoadOption(
        "user_in",
        str,
        "auth.userId",
        "part of the handshake that contains the user id: auth.NAME, query.NAME, header.NAME or cookie.NAME",
    ),
    LoadOption(
        "token_in",
        str,
        "auth.token",
        "part of the handshake that contains the token: auth.NAME, query.NAME, header.NAME or cookie.NAME",
    ),
    LoadOption("user_prefix", str, "load-user-", "prefix of the user ids, followed by a number (without --users-file)"),
    LoadOption(
        "token", str, "token-of-{user}", "one token for all users; {user} is replaced by the user id", secret=True
    ),
    LoadOption("users_file", str, None, "CSV file with a user id and a token on each line"),
    LoadOption("source_addresses", str, None, "local addresses to connect from, each in turn, separated by commas"),
    LoadOption("connect_timeout", float, 20.0, "seconds that a connection may take to open"),
    LoadOption("ack_timeout", float, 5.0, "seconds that an acknowledgement may take"),
    LoadOption("close_timeout", float, 3.0, "seconds that the server may take to answer a close at the end of the run"),
    LoadOption("reconnect_delay", float, 0.3, "duplicated, tabs: seconds from a server disconnect to the reconnect"),
    LoadOption("tabs", int, 3, "tabs: connections per user"),
    LoadOption(
        "jitter", float, 0.5, "random share of the backoff (the delay before a reconnect): from 0 for none to 1 for all"
    ),
    LoadOption(
        "backoff", float, 1.0, "seconds before the first reconnect after a lost connection; the delay doubles up to 5"
    ),
    LoadOption(
        "emit_every",
        float,
        None,
        "seconds between a user's events, 0 for no events; by default 30 for soak, else 0",
    ),
    LoadOption("emit_event", str, "request_bot_status", "event that the users emit"),
    LoadOption(
        "emit_payload", str, None, "payload of that event, as JSON; {user} is replaced by the user id", secret=True
    ),
    LoadOption("no_acks", bool, False, "do not request acknowledgements of the users' events"),
)
"""Options of a load run, in the order of --help."""


def is_users_file_header(row: list[str]) -> bool:
    """Return whether the first row of a users file is a header: databases and spreadsheets write headers."""
    return len(row) == 2 and bool(row[0].strip()) and row[1].strip().lower() == "token"
