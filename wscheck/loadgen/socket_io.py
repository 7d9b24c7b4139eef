"""ONE CONNECTION'S END of a link: what it sends, and what the reactor tells it; what that means is the heir's."""

from typing import TYPE_CHECKING

from wscheck.loadgen.reactor import READABLE, WRITABLE
from wscheck.loadgen.transport import LinkError, Plain, link_to

if TYPE_CHECKING:
    from wscheck.loadgen.swarm import Swarm


class Wire:
    """`due` is the reactor's own."""

    __slots__ = ("_is_writing", "_link", "due", "swarm")

    def __init__(self, swarm: "Swarm") -> None:
        self.swarm = swarm
        self.due = 0
        self._link: Plain | None = None
        self._is_writing = False

    def use_new_link(self) -> None:
        """Begin a link, in place of the one there may be. Raises LinkError."""
        self._drop_link()
        self._link = link_to(self.swarm.endpoint)
        self._is_writing = True
        self.swarm.reactor.watch(self._link.fd, self, READABLE | WRITABLE)

    def send(self, data: bytes) -> None:
        """Bytes for the wire. Raises LinkError."""
        assert self._link is not None
        self._link.send(data)
        if self._link.is_blocked is not self._is_writing:
            self._mind_writing()

    def deliver(self, data: bytes) -> None:
        """Send; that the link is lost will be read, too."""
        try:
            self.send(data)
        except LinkError:
            return

    def ready(self, events: int) -> None:
        """The reactor's call: the link is readable, writable or broken."""
        link = self._link
        assert link is not None
        try:
            if self._is_writing and events & WRITABLE:
                link.flush()
                self._mind_writing()
            if events & ~WRITABLE:
                data = link.receive()
                if data:
                    self.received(data)
                    if link.has_ended and link is self._link:
                        self.hung_up()
                elif data is not None:
                    self.hung_up()
        except LinkError as lost:
            self.lost(lost.kind)

    def received(self, data: bytes) -> None:
        """Bytes arrived."""
        raise NotImplementedError

    def hung_up(self) -> None:
        """The server closed."""
        raise NotImplementedError

    def lost(self, kind: str) -> None:
        """The link is lost."""
        raise NotImplementedError

    def overdue(self, now: float) -> None:
        """The reactor's call: a deadline has come."""
        raise NotImplementedError

    def crashed(self) -> None:
        """The reactor's call: code of ours failed."""
        raise NotImplementedError

    def cut(self) -> None:
        """The reactor's call: be gone now."""
        raise NotImplementedError

    def _mind_writing(self) -> None:
        assert self._link is not None
        self._is_writing = self._link.is_blocked
        self.swarm.reactor.want(self._link.fd, READABLE | WRITABLE if self._is_writing else READABLE)

    def _drop_link(self, *, abort: bool = False) -> None:
        if self._link is not None:
            self.swarm.reactor.forget(self._link.fd)
            self._link.close(abort=abort)
            self._link = None
