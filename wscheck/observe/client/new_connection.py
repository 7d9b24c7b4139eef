"""Connections of the simulated client by protocol."""

from wscheck.config.target import EVENT_STREAM, WEBSOCKET, Credentials, ServerTarget
from wscheck.observe.client.connection import ClientConnection, ConnectionListener
from wscheck.observe.client.plain_connections import EventStreamConnection, WebSocketConnection
from wscheck.observe.client.socket_io_connection import SocketIoConnection

_CLASSES: dict[str, type[ClientConnection]] = {
    WEBSOCKET: WebSocketConnection,
    EVENT_STREAM: EventStreamConnection,
}


def new_connection(
    target: ServerTarget, credentials: Credentials, listener: ConnectionListener, *, page: str, component: str
) -> ClientConnection:
    """Return a new connection to `target`, in the protocol of its server. It is not open yet."""
    connection_class = _CLASSES.get(target.protocol, SocketIoConnection)
    return connection_class(target, credentials, listener, page=page, component=component)
