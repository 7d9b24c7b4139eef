"""All protocols, and the choice of the protocol of a connection.

A new protocol is one file, and one line in `PROTOCOLS`.
"""

from collections.abc import Sequence

import msgspec

from wscheck.protocols.action_cable import ActionCable
from wscheck.protocols.dev_server import DEV_SERVERS
from wscheck.protocols.event_stream import EventStream
from wscheck.protocols.graphql import GraphQl
from wscheck.protocols.mqtt import Mqtt
from wscheck.protocols.phoenix import Phoenix
from wscheck.protocols.protocol import Confidence, Opening, Protocol
from wscheck.protocols.pusher import Pusher
from wscheck.protocols.signalr import SignalR
from wscheck.protocols.socket_io_session import SocketIo
from wscheck.protocols.sockjs import SockJs
from wscheck.protocols.stomp import Stomp
from wscheck.protocols.websocket import PlainWebSocket

PROTOCOLS: tuple[Protocol, ...] = (
    *DEV_SERVERS,
    SocketIo(),
    ActionCable(),
    Mqtt(),
    Phoenix(),
    SignalR(),
    Stomp(),
    GraphQl(),
    Pusher(),
    SockJs(),
    PlainWebSocket(),
    EventStream(),
)
"""All protocols."""


class Recognition(msgspec.Struct, frozen=True):
    """Protocol of a connection, by what is known so far.

    others  if several protocols are equally likely, their names: `protocol` is then a plain WebSocket or stream;
            otherwise empty
    """

    protocol: Protocol
    confidence: Confidence
    others: tuple[str, ...] = ()


def recognise(opening: Opening, protocols: Sequence[Protocol] = PROTOCOLS) -> Recognition | None:
    """Return the protocol of a connection, None if no protocol has connections of this kind.

    If several protocols are equally likely, the protocol of a development server is chosen. Without one, the connection
    is read as a plain WebSocket or stream.
    """
    rated = [(protocol.recognise(opening), protocol) for protocol in protocols]
    possible = [(confidence, protocol) for confidence, protocol in rated if confidence]
    if not possible:
        return None
    highest = max(confidence for confidence, _ in possible)
    best = [protocol for confidence, protocol in possible if confidence is highest]
    left_out = next((protocol for protocol in best if protocol.is_left_out), None)
    if left_out is not None:
        return Recognition(left_out, highest)
    plain = next((protocol for confidence, protocol in possible if confidence is Confidence.FALLBACK), None)
    if len(best) > 1 and plain is not None:
        return Recognition(plain, highest, tuple(protocol.name for protocol in best))
    return Recognition(best[0], highest)


def protocol_name(id: str | None) -> str:
    """Return the name of a protocol for reports; None stands for Socket.IO."""
    names = {protocol.id: protocol.name for protocol in PROTOCOLS if not protocol.is_left_out}
    return names.get(id or SocketIo.id, id or "")
