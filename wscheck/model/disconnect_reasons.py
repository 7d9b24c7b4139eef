"""Disconnect reasons of Socket.IO, in the wording of clients and of servers.

Sources: Socket.IO documentation, "The Socket instance" (client and server), event `disconnect`; python-socketio,
`disconnect` handler.
"""

import re

# Reasons that a client reports.
IO_SERVER_DISCONNECT = "io server disconnect"
IO_CLIENT_DISCONNECT = "io client disconnect"

# Reasons that both sides report.
TRANSPORT_CLOSE = "transport close"
TRANSPORT_ERROR = "transport error"
PING_TIMEOUT = "ping timeout"
PARSE_ERROR = "parse error"

# Reason of a WebSocket without Socket.IO, if the source does not tell which side closed it.
CLOSED = "closed by either side"

# Reason of a connection whose page or worker was closed or reloaded, crashed, or opened another address.
PAGE_LEFT = "page left"

# Reasons that a server reports.
SERVER_NAMESPACE_DISCONNECT = "server namespace disconnect"
CLIENT_NAMESPACE_DISCONNECT = "client namespace disconnect"
FORCED_CLOSE = "forced close"
FORCED_SERVER_CLOSE = "forced server close"
SERVER_SHUTTING_DOWN = "server shutting down"

# Reasons that a python-socketio server reports.
SERVER_DISCONNECT = "server disconnect"
CLIENT_DISCONNECT = "client disconnect"

# Reason that an MQTT broker gives.
SESSION_TAKEN_OVER = "session taken over"

# Reasons of the ledger, for a connection that it closed although no event reports its end.
EXPIRED_SERVER_RESTART = "expired: the server restarted"
EXPIRED_LIKELY_RESTART = "expired: the server probably restarted"
EXPIRED_STALE = "expired: nothing heard of it for too long"
EXPIRED_UNANNOUNCED = "expired: the server speaks of another one as the user's, and tells of no connection's beginning"

SERVER_ENDED = frozenset({IO_SERVER_DISCONNECT, SERVER_NAMESPACE_DISCONNECT, SERVER_DISCONNECT, SESSION_TAKEN_OVER})
"""Reasons that mean that the server ended the connection, or its namespace, with a DISCONNECT packet."""

TRANSPORT_ENDED = frozenset({TRANSPORT_CLOSE, TRANSPORT_ERROR, FORCED_CLOSE})
"""Reasons that mean that the transport ended and no DISCONNECT packet was sent."""

DISCONNECT_SENT = SERVER_ENDED | {IO_CLIENT_DISCONNECT, CLIENT_NAMESPACE_DISCONNECT}
"""Reasons that mean that a side sent a DISCONNECT packet. The server cannot recover such a connection."""

CLIENT_OR_NETWORK_ENDED = frozenset(
    {
        IO_CLIENT_DISCONNECT,
        CLIENT_NAMESPACE_DISCONNECT,
        CLIENT_DISCONNECT,
        TRANSPORT_CLOSE,
        TRANSPORT_ERROR,
        PING_TIMEOUT,
        PARSE_ERROR,
        PAGE_LEFT,
    }
)
"""Reasons that mean that the client or the network ended the connection."""

SERVER_SPELLINGS = frozenset(
    {
        TRANSPORT_CLOSE,
        TRANSPORT_ERROR,
        PING_TIMEOUT,
        PARSE_ERROR,
        FORCED_CLOSE,
        FORCED_SERVER_CLOSE,
        SERVER_SHUTTING_DOWN,
        CLIENT_NAMESPACE_DISCONNECT,
        SERVER_NAMESPACE_DISCONNECT,
    }
)
"""Every reason that a Socket.IO server (Node.js) gives."""

MAX_REASON = 1000
"""Characters of a reason that are searched. Hostile clients can send longer ones, but no server writes them."""

_SILENCE = re.compile(
    r"(?i)\b(?:no|missed|missing|lost|without)\b.*\b(?:ping|pong|heart-?beats?|keep-?alives?)\b"
    r"|\b(?:idle|inactivity|read|receive|i/o)\b.*\btime(?:d[ -]?)?[ -]?out\b"
    r"|\b(?:ha[sd]n['’]t|didn['’]t|(?:has|had|did) not) (?:sent|send|respond|answer|repl)\w*\b.*"
    r"\b(?:pings?|pongs?|heart-?beats?|keep-?alives?|within|in time)\b"
    r"|\b(?:ping|pong|heart-?beat|keep-?alive)s?\b.*\b(?:time(?:d[ -]?)?[ -]?out|missed|missing|expired|failed|lost)\b"
)


def reports_silent_client(reason: str | None) -> bool:
    """Return whether the reason means that the client did not answer for too long, in the words of any server."""
    return reason is not None and (reason == PING_TIMEOUT or _SILENCE.search(reason, 0, MAX_REASON) is not None)


_REPLACEMENT = re.compile(
    r"(?i)\btaken[ _-]?over\b|\btake[ _-]?over\b|\bsupersed|\bdisplaced\b|^\W*replaced\W*$|\breplaced[ _-](?:by|with)\b"
    r"|\b(?:session|connection|client|login|socket)[ _-]replaced\b"
    r"|\b(?:remov|clos|drop|kick|evict|displac|terminat|disconnect)\w*[ _-](?:existing|old|older|oldest|previous)\b"
    r"|\bduplicated?[ _-](?:identity|log-?in|session|connection|client|user)"
    r"|\b(?:another|other|new|newer|different|second)[ _-]"
    r"(?:location|device|log-?in|sign-?in|session|connection|client|tab|browser|place|window)\b"
    r"|\b(?:logged|signed|connected|opened)[ _-](?:in[ _-])?(?:elsewhere|twice|again)\b"
)


def reports_replacement(reason: str | None) -> bool:
    """Return whether the reason means that a newer connection of the user took the place of the ended one."""
    return reason is not None and _REPLACEMENT.search(reason, 0, MAX_REASON) is not None


_HANDOVER = re.compile(
    r"(?i)\b(?:moved|moving|migrated|migrating|migration|relocated|rebalanced?|rebalancing|draining|drained)\b"
    r"|\bhand(?:ed)?[ -]?over\b"
)


def reports_handover(reason: str | None) -> bool:
    """Return whether the reason means that the server moved the client to another process or node."""
    return reason is not None and _HANDOVER.search(reason, 0, MAX_REASON) is not None
