"""LINKS: a non-blocking socket, bare or under TLS, with one face: bytes in, bytes out, never waiting.

On the C socket itself: gevent's has a hub watcher and a kilobyte each, and thousands of these sit idle.
"""

import _socket
import errno
import ssl

from wscheck.loadgen.endpoint import Endpoint

_CHUNK = 64 * 1024
_NO_PORT = getattr(_socket, "IP_BIND_ADDRESS_NO_PORT", 24)
_WAITING = (errno.EINPROGRESS, errno.EAGAIN, errno.EALREADY)


class LinkError(OSError):
    """The link cannot be had or is lost; `kind` is what that is counted as."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


_KINDS = {
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


def kind_of(error: OSError) -> str:
    """What an operating system's error is counted as."""
    return _KINDS.get(error.errno or 0, "network error")


class Plain:
    """A TCP connection that has been begun. What cannot be sent at once is kept and sent by `flush`."""

    __slots__ = ("_unsent", "socket")

    has_ended = False
    """Whether the other side said, with the last that it sent, that nothing follows."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._unsent = b""
        family, address = endpoint.address
        kind = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
        try:
            self.socket = _socket.socket(family, kind)
        except OSError as error:
            raise LinkError(kind_of(error)) from error
        try:
            self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            source = endpoint.next_source()
            if source:
                self.socket.setsockopt(_socket.IPPROTO_IP, _NO_PORT, 1)
                self.socket.bind((source, 0))
            failed = self.socket.connect_ex(address)
        except OSError as error:
            self.socket.close()
            raise LinkError(kind_of(error)) from error
        if failed and failed not in _WAITING:
            self.socket.close()
            raise LinkError(_KINDS.get(failed, "network error"))

    @property
    def fd(self) -> int:
        return self.socket.fileno()

    @property
    def is_blocked(self) -> bool:
        """Whether something waits to be sent, so that the reactor must watch for writability."""
        return bool(self._unsent)

    def receive(self) -> bytes | None:
        """What arrived: b"" once the other side ended, None while there is nothing."""
        try:
            return self.socket.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _WAITING or error.errno == errno.ENOTCONN:
                return None
            raise LinkError(kind_of(error)) from error

    def send(self, data: bytes) -> None:
        """Sends `data` after whatever waits already."""
        if self._unsent:
            self._unsent += data
            return
        self._unsent = data
        self.flush()

    def flush(self) -> None:
        """Sends what waits, as far as that goes."""
        try:
            sent = self.socket.send(self._unsent)
        except OSError as error:
            # ENOTCONN: the connect is under way.
            if error.errno in _WAITING or error.errno == errno.ENOTCONN:
                return
            raise LinkError(kind_of(error)) from error
        self._unsent = self._unsent[sent:]

    def connected(self) -> None:
        """Raises LinkError when the connect failed."""
        failed = self.socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if failed:
            raise LinkError(_KINDS.get(failed, "network error"))

    def close(self, *, abort: bool = False) -> None:
        """Close; `abort` resets, so that neither side keeps the port for a minute."""
        if abort:
            self.socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, _NO_LINGER)
        self.socket.close()


_NO_LINGER = b"\x01\x00\x00\x00\x00\x00\x00\x00"


class Secure(Plain):
    """TLS over it, through memory, which knows nothing of sockets and so of gevent's."""

    __slots__ = ("_before", "_in", "_is_up", "_out", "_tls", "has_ended")

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        assert endpoint.tls is not None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = endpoint.tls.wrap_bio(self._in, self._out, server_hostname=endpoint.server_name)
        self._is_up = self.has_ended = False
        self._before: list[bytes] = []
        self._shake()

    def receive(self) -> bytes | None:
        """As Plain: what arrived, decrypted."""
        data = super().receive()
        if not data:
            return data
        self._in.write(data)
        if not self._is_up and not self._shake():
            return None
        return self._read()

    def send(self, data: bytes) -> None:
        """As Plain; before the handshake is done `data` waits for it."""
        if not self._is_up:
            self._before.append(data)
            return
        self._tls.write(data)
        super().send(self._out.read())

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
            self._is_up = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise LinkError(_tls_kind(error)) from error
        finally:
            if self._out.pending:
                super().send(self._out.read())
        if self._is_up:
            waiting, self._before = self._before, []
            for data in waiting:
                self.send(data)
        return self._is_up

    def _read(self) -> bytes | None:
        parts = []
        try:
            while True:
                part = self._tls.read(_CHUNK)
                if not part:
                    self.has_ended = True
                    break
                parts.append(part)
                if not self._in.pending and not self._tls.pending():
                    return part if len(parts) == 1 else b"".join(parts)
        except ssl.SSLWantReadError:
            return b"".join(parts) or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.has_ended = True
        except ssl.SSLError as error:
            raise LinkError(_tls_kind(error)) from error
        return b"".join(parts)


def _tls_kind(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls: the certificate is not trusted"
    reason = (error.reason or "").lower().replace("_", " ")
    return f"tls: {reason}" if reason else "tls"


def link_to(endpoint: Endpoint) -> Plain:
    """A link to `endpoint`, begun. Raises LinkError when even that fails."""
    return Secure(endpoint) if endpoint.tls is not None else Plain(endpoint)
