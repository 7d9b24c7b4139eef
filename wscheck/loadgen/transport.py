"""Non-blocking transports, plain TCP or TLS: bytes in, bytes out.

The transports use the C socket itself. A gevent socket would have a hub watcher and need one kilobyte more, which is
too much for thousands of idle connections.
"""

import _socket
import errno
import ssl
from typing import Protocol

from wscheck.loadgen.endpoint import Endpoint
from wscheck.loadgen.reactor import READABLE, WRITABLE, Reactor

_CHUNK_BYTES = 64 * 1024
_IP_BIND_ADDRESS_NO_PORT = getattr(_socket, "IP_BIND_ADDRESS_NO_PORT", 24)
_IN_PROGRESS = (errno.EINPROGRESS, errno.EAGAIN, errno.EALREADY)
_LINGER_OFF = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""`struct linger` with a timeout of 0: close() sends a reset, and the port is free at once (socket(7))."""


class TransportError(OSError):
    """Error: a transport could not be opened, or broke.

    `kind` is the name under which the failure is counted (docs/load-engine.md).
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


_ERROR_KINDS = {
    errno.ECONNREFUSED: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "no local port left",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.ETIMEDOUT: "timeout",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
}


def _error_kind(error: OSError) -> str:
    return _ERROR_KINDS.get(error.errno or 0, "network error")


class TransportOwner(Protocol):
    """Owner of a transport, which is called with the received bytes and when the transport ends."""

    def received(self, data: bytes) -> None:
        """Handle bytes from the peer. May raise TransportError."""

    def hung_up(self) -> None:
        """Handle the end of the data: the server closed its side of the connection."""

    def transport_lost(self, kind: str) -> None:
        """Handle the loss of the transport. `kind` is the kind of the TransportError."""

    def handler_failed(self) -> None:
        """End the connection after an unexpected exception."""

    def abort(self) -> None:
        """End the connection now."""


class TcpTransport:
    """A TCP connection. The constructor starts to connect; bytes sent before it is connected are buffered."""

    __slots__ = ("_is_writing", "_owner", "_reactor", "_unsent", "socket")

    has_ended = False
    """True once the server has closed its side of the connection, even if its last bytes are not processed yet."""

    def __init__(self, endpoint: Endpoint, reactor: Reactor, owner: TransportOwner) -> None:
        self._reactor, self._owner = reactor, owner
        self._unsent = b""
        self._is_writing = True
        family, address = endpoint.address
        kind = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
        try:
            self.socket = _socket.socket(family, kind)
        except OSError as error:
            raise TransportError(_error_kind(error)) from error
        try:
            self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            source = endpoint.next_source()
            if source:
                self.socket.setsockopt(_socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                self.socket.bind((source, 0))
            error_number = self.socket.connect_ex(address)
        except OSError as error:
            self.socket.close()
            raise TransportError(_error_kind(error)) from error
        if error_number and error_number not in _IN_PROGRESS:
            self.socket.close()
            raise TransportError(_ERROR_KINDS.get(error_number, "network error"))
        reactor.watch(self.socket.fileno(), self, READABLE | WRITABLE)

    def send(self, data: bytes) -> None:
        """Send `data` after the bytes that are still buffered.

        Raises:
            TransportError: The connection is broken.
        """
        if self._unsent:
            self._unsent += data
        else:
            self._unsent = data
            self._flush()
        if bool(self._unsent) is not self._is_writing:
            self._update_watched_events()

    def close(self, *, abort: bool = False) -> None:
        """Close the transport. `abort` sends a reset, so that neither side keeps the port in TIME_WAIT."""
        self._reactor.unwatch(self.socket.fileno())
        if abort:
            self.socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _LINGER_OFF)
        self.socket.close()

    # --- called by the reactor ------------------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        """Send buffered bytes and read what arrived."""
        owner = self._owner
        try:
            if self._is_writing and events & WRITABLE:
                self._flush()
                self._update_watched_events()
            if events & ~WRITABLE:
                data = self._receive()
                if data:
                    owner.received(data)
                    if self.has_ended and self.socket.fileno() >= 0:
                        owner.hung_up()
                elif data is not None:
                    owner.hung_up()
        except TransportError as error:
            owner.transport_lost(error.kind)

    def handler_failed(self) -> None:
        """Let the owner end the connection, because `ready` raised an unexpected exception."""
        self._owner.handler_failed()

    def abort(self) -> None:
        """Let the owner end the connection now."""
        self._owner.abort()

    # --- the socket -----------------------------------------------------------------------------------------------

    def _receive(self) -> bytes | None:
        """Return the bytes that arrived: b"" at the end of the data, None if there are none yet."""
        try:
            return self.socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _IN_PROGRESS or error.errno == errno.ENOTCONN:
                return None
            raise TransportError(_error_kind(error)) from error

    def _flush(self) -> None:
        """Send as many of the buffered bytes as the socket accepts."""
        try:
            sent = self.socket.send(self._unsent)
        except OSError as error:
            # ENOTCONN: the connection is not established yet.
            if error.errno in _IN_PROGRESS or error.errno == errno.ENOTCONN:
                return
            raise TransportError(_error_kind(error)) from error
        self._unsent = self._unsent[sent:]

    def _update_watched_events(self) -> None:
        self._is_writing = bool(self._unsent)
        self._reactor.set_events(self.socket.fileno(), READABLE | WRITABLE if self._is_writing else READABLE)


class TlsTransport(TcpTransport):
    """TLS over TCP.

    `ssl` reads and writes memory buffers. To read and write a socket, `ssl` would need a gevent socket, which this
    module avoids.
    """

    __slots__ = ("_before_handshake", "_incoming", "_is_established", "_outgoing", "_tls", "has_ended")

    def __init__(self, endpoint: Endpoint, reactor: Reactor, owner: TransportOwner) -> None:
        super().__init__(endpoint, reactor, owner)
        assert endpoint.tls is not None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = endpoint.tls.wrap_bio(self._incoming, self._outgoing, server_hostname=endpoint.server_name)
        self._is_established = self.has_ended = False
        self._before_handshake: list[bytes] = []
        try:
            self._continue_handshake()
        except TransportError:
            self.close()
            raise

    def _receive(self) -> bytes | None:
        data = super()._receive()
        if not data:
            return data
        self._incoming.write(data)
        if not self._is_established and not self._continue_handshake():
            return None
        return self._decrypt()

    def send(self, data: bytes) -> None:
        """Encrypt and send `data`, or buffer it until the TLS handshake is done."""
        if not self._is_established:
            self._before_handshake.append(data)
            return
        self._tls.write(data)
        super().send(self._outgoing.read())

    def _continue_handshake(self) -> bool:
        try:
            self._tls.do_handshake()
            self._is_established = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise TransportError(_tls_error_kind(error)) from error
        finally:
            if self._outgoing.pending:
                super().send(self._outgoing.read())
        if self._is_established:
            waiting, self._before_handshake = self._before_handshake, []
            for data in waiting:
                self.send(data)
        return self._is_established

    def _decrypt(self) -> bytes | None:
        parts = []
        try:
            while True:
                part = self._tls.read(_CHUNK_BYTES)
                if not part:
                    self.has_ended = True
                    break
                parts.append(part)
                if not self._incoming.pending and not self._tls.pending():
                    return part if len(parts) == 1 else b"".join(parts)
        except ssl.SSLWantReadError:
            return b"".join(parts) or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.has_ended = True
        except ssl.SSLError as error:
            raise TransportError(_tls_error_kind(error)) from error
        return b"".join(parts)


def _tls_error_kind(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls: the certificate is not trusted"
    reason = (error.reason or "").lower().replace("_", " ")
    return f"tls: {reason}" if reason else "tls"


def open_transport(endpoint: Endpoint, reactor: Reactor, owner: TransportOwner) -> TcpTransport:
    """Start to connect to `endpoint`.

    Raises:
        TransportError: There is no socket or no local port for the connection.
    """
    return (TlsTransport if endpoint.tls is not None else TcpTransport)(endpoint, reactor, owner)
