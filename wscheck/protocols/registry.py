"""All protocols, and the choice of the protocol of a connection.

A new protocol is one file, and one line in `PROTOCOLS`.
"""

from collections.abc import Sequence

import msgspec

from wscheck.protocols.protocol import Confidence, Opening, Protocol
from wscheck.protocols.socket_io_session import SocketIo

PROTOCOLS: tuple[Protocol, ...] = (SocketIo(),)
"""Protocols in the order in which they are tried."""


class Recognition(msgspec.Struct, frozen=True):
    """Protocol of a connection, by what is known so far.

    others  names of protocols that are as likely; the connection is then read as its transport only
    """

    protocol: Protocol
    confidence: Confidence
    others: tuple[str, ...] = ()


def recognise(opening: Opening, protocols: Sequence[Protocol] = PROTOCOLS) -> Recognition | None:
    """Return the protocol of a connection, None if no protocol has connections of this kind.

    If two protocols are equally likely, the connection is read as a plain WebSocket or stream.
    """
    rated = [(protocol.recognise(opening), protocol) for protocol in protocols]
    possible = [(confidence, protocol) for confidence, protocol in rated if confidence]
    if not possible:
        return None
    highest = max(confidence for confidence, _ in possible)
    best = [protocol for confidence, protocol in possible if confidence is highest]
    plain = next((protocol for confidence, protocol in possible if confidence is Confidence.FALLBACK), None)
    if len(best) > 1 and plain is not None:
        return Recognition(plain, highest, tuple(protocol.name for protocol in best))
    return Recognition(best[0], highest)
