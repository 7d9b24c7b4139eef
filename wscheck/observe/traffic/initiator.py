"""Who held a connection, and which line of their code opened it."""

from typing import Any

import msgspec

from wscheck.model.events import CodeLocation


class Initiator(msgspec.Struct, frozen=True):
    """Who held a connection, as its source knows it.

    id      the source's own name for what held it, so that its end ends its connections (`TrafficDemux.gone`)
    page    label of the tab that holds it ("tab 1"); that of a worker that no single tab holds
    target  "page http://...", "worker ...", "shared_worker ...", "service_worker ...", "iframe ..."
    stack   whatever the source has of the stack at its creation; a `ConnectionOrigin` is made of it in the end
    """

    id: str = ""
    page: str = ""
    target: str = ""
    stack: Any = None


class ConnectionOrigin(msgspec.Struct, frozen=True):
    """Where a connection was opened, source-mapped. `script` and `client`: the scripts that the opener and the client
    library ran from. `target`: the frame of a page that ran them, empty where it is the origin's own."""

    opener: CodeLocation | None = None
    stack: tuple[CodeLocation, ...] = ()
    component: str | None = None
    script: str | None = None
    client: str | None = None
    target: str = ""
