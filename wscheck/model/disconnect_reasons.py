"""Reasons for which a connection ended, as each side of Socket.IO spells them.

Sources: Socket.IO documentation, "The Socket instance" (client and server), event `disconnect`; python-socketio,
`disconnect` handler.
"""

# As a client spells them.
IO_SERVER_DISCONNECT = "io server disconnect"
IO_CLIENT_DISCONNECT = "io client disconnect"

# As both sides spell them.
TRANSPORT_CLOSE = "transport close"
TRANSPORT_ERROR = "transport error"
PING_TIMEOUT = "ping timeout"
PARSE_ERROR = "parse error"

# As a server spells them.
SERVER_NAMESPACE_DISCONNECT = "server namespace disconnect"
CLIENT_NAMESPACE_DISCONNECT = "client namespace disconnect"
FORCED_CLOSE = "forced close"
FORCED_SERVER_CLOSE = "forced server close"
SERVER_SHUTTING_DOWN = "server shutting down"

# As a python-socketio server spells them.
SERVER_DISCONNECT = "server disconnect"
CLIENT_DISCONNECT = "client disconnect"

# The ledger closed a connection that has no end in the evidence.
EXPIRED_SERVER_RESTART = "expired: the server restarted"
EXPIRED_STALE = "expired: nothing heard of it for too long"
EXPIRED_UNANNOUNCED = "expired: the server speaks of another one as the user's, and tells of no connection's beginning"

SERVER_ENDED = frozenset({IO_SERVER_DISCONNECT, SERVER_NAMESPACE_DISCONNECT, SERVER_DISCONNECT})
"""The server ended the namespace with a DISCONNECT packet."""

TRANSPORT_ENDED = frozenset({TRANSPORT_CLOSE, TRANSPORT_ERROR, FORCED_CLOSE})
"""The transport ended, and no DISCONNECT packet was sent."""

DISCONNECT_SENT = SERVER_ENDED | {IO_CLIENT_DISCONNECT, CLIENT_NAMESPACE_DISCONNECT}
"""Either side sent a DISCONNECT packet: the server cannot recover the connection under the same socket id."""

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
