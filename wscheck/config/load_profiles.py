"""WHAT THE PAGES OF A SWARM DO: the profiles' names and every option of a load run, as one table without locust."""

from typing import Any

import msgspec

LOAD_PROFILES = {
    "unified": "one connection per user, shared by dashboard and wizard; a kick is not answered with a reconnect",
    "duplicated": "dashboard and wizard each open one connection and reconnect after a kick: the documented fault",
    "tabs": "each user opens the page in several tabs, one connection each, and reconnects after a kick",
    "strict-mode": "each page opens, drops and opens again at once, as React's StrictMode does",
    "storm": "one connection per user; after a server restart everybody comes back, with or without jitter",
    "soak": "one connection per user, held for long, with an event now and then",
}
"""By name: what a user's page does."""


class LoadOption(msgspec.Struct, frozen=True):
    """One option: `--flag` for Locust, `WSCHECK_LOAD_NAME` in the environment. `kind` parses the text."""

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
    LoadOption("namespace", str, "/", "Socket.IO namespace"),
    LoadOption("socketio_path", str, "/socket.io", "path of the Socket.IO endpoint"),
    LoadOption(
        "transport", str, "websocket", "websocket, or polling and then the upgrade", ("websocket", "polling-upgrade")
    ),
    LoadOption("insecure", bool, False, "do not verify the server's TLS certificate"),
    LoadOption("ca_file", str, None, "PEM file of a certificate authority to trust beside the system's"),
    LoadOption("query", str, None, "query of the handshake, as a=1&b=2", secret=True),
    LoadOption("headers", str, None, "headers of the handshake, one Name: value per line", secret=True),
    LoadOption("user_in", str, "auth.userId", "where the user id travels: auth.N, query.N, header.N or cookie.N"),
    LoadOption("token_in", str, "auth.token", "where the token travels, likewise"),
    LoadOption("user_prefix", str, "load-user-", "without --users-file: user ids are this and a number"),
    LoadOption("token", str, "token-of-{user}", "one token for all users; {user} in it becomes the id", secret=True),
    LoadOption("users_file", str, None, "CSV of user id and token, one user a line"),
    LoadOption("source_addresses", str, None, "local addresses to connect from in turn, with commas"),
    LoadOption("connect_timeout", float, 20.0, "seconds a connection may take"),
    LoadOption("ack_timeout", float, 5.0, "seconds an acknowledgement may take"),
    LoadOption("close_timeout", float, 3.0, "seconds the server gets to answer our close at the end"),
    LoadOption("reconnect_delay", float, 0.3, "duplicated, tabs: seconds from a kick to the next connect"),
    LoadOption("tabs", int, 3, "tabs: connections per user"),
    LoadOption("jitter", float, 0.5, "the part of the backoff that is random, 0 for none, 1 for all"),
    LoadOption("backoff", float, 1.0, "seconds before the first reconnect after a lost connection; doubles up to 5"),
    LoadOption(
        "emit_every", float, None, "seconds between a user's events, 0 for none; soak has 30, others 0 by default"
    ),
    LoadOption("emit_event", str, "request_bot_status", "the event users emit"),
    LoadOption("no_acks", bool, False, "do not ask for an acknowledgement of what users emit"),
)
"""In the order of --help. Each is a Locust argument and an environment variable."""


def is_users_file_header(row: list[str]) -> bool:
    """Whether the first line of a users file is a heading, as databases and spreadsheets write one."""
    return len(row) == 2 and bool(row[0].strip()) and row[1].strip().lower() == "token"
