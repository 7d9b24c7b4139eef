"""Who hears what a client does: the seam between the client under test and the evidence drawn from it."""

from typing import Protocol

from wscheck.observe.client.connection import Connection, Listener


class Witness(Listener, Protocol):
    """What a page does, as the evidence needs it: also which component came, went, and handled what."""

    def mounted(self, page: str, component: str, user: str) -> None: ...
    def unmounted(self, page: str, component: str, user: str) -> None: ...
    def handled(self, connection: Connection, component: str, name: str, payload: object) -> None: ...
    def silenced(self, connection: Connection, within: float) -> None: ...
