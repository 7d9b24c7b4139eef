"""The documented hook: one connection per (url, namespace, user), shared by every component, reference counted."""

import asyncio

from wscheck.observe.client.connection import Connection
from wscheck.observe.client.page import Mount, Page


class UnifiedPage(Page):
    """The counterpart of `useUnifiedWebSocket` for one user of one namespace of one server.

    Reconnection is off, so that a page that was replaced never fights back.
    """

    _shared: Connection | None = None
    _opening: asyncio.Lock | None = None

    async def attach(self, mount: Mount) -> None:
        # Two components that mount in the same instant must wait for one connection, not open two.
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if mount in self.mounts and (self._shared is None or not self._shared.is_connected):
                self._shared = self.new_connection(mount)
                await self._shared.open()

    async def detach(self, mount: Mount) -> None:
        if not self.mounts and self._shared is not None:
            shared, self._shared = self._shared, None
            await shared.close()

    async def reconnect(self) -> None:
        if not self.mounts or self._shared is None or self._shared.is_connected:
            return
        self._shared = self.new_connection(self.mounts[0])
        if await self._shared.open():
            for mount in self.mounts:
                if mount.handlers.on_reconnect is not None:
                    mount.handlers.on_reconnect()

    def connection_of(self, mount: Mount) -> Connection | None:
        return self._shared if mount in self.mounts else None

    def hearers(self, connection: Connection) -> list[Mount]:
        return list(self.mounts) if connection is self._shared else []
