"""The documented fault: every component opens a connection of its own, and may reconnect when it is kicked."""

import asyncio

from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.observe.client.connection import Connection
from wscheck.observe.client.listener import Witness
from wscheck.observe.client.page import Mount, Page
from wscheck.observe.client.task_cancel import ended


class PerComponentPage(Page):
    """`useBotWebSocket` beside `useWhatsAppConnection`.

    A stock client stays down after a kick; the documented loop needs application code that connects again, so the
    delay is explicit: `reconnect_on_kick` seconds, None for never.
    """

    def __init__(
        self,
        name: str,
        target: ServerTarget,
        credentials: Credentials,
        witness: Witness,
        *,
        reconnect_on_kick: float | None = None,
    ) -> None:
        super().__init__(name, target, credentials, witness)
        self._delay = reconnect_on_kick
        self._own: dict[Mount, Connection] = {}
        self._timers: set[asyncio.Task[None]] = set()

    async def attach(self, mount: Mount) -> None:
        self._own[mount] = self.new_connection(mount)
        await self._own[mount].open()

    async def detach(self, mount: Mount) -> None:
        connection = self._own.pop(mount, None)
        if connection is not None:
            await connection.close()

    async def reconnect(self) -> None:
        for mount in list(self.mounts):
            if not mount.is_connected:
                await self.attach(mount)
                if mount.handlers.on_reconnect is not None:
                    mount.handlers.on_reconnect()

    async def close(self) -> None:
        # Nobody is there any more to connect again, whatever the closing below makes the server do.
        self.mounts.clear()
        self._own.clear()
        await ended(self._timers)
        await super().close()

    def connection_of(self, mount: Mount) -> Connection | None:
        return self._own.get(mount)

    def hearers(self, connection: Connection) -> list[Mount]:
        return [mount for mount, own in self._own.items() if own is connection]

    def disconnected(self, connection: Connection, reason: str) -> None:
        super().disconnected(connection, reason)
        if self._delay is None or reason not in (IO_SERVER_DISCONNECT, TRANSPORT_CLOSE):
            return
        for mount in self.hearers(connection):
            timer = asyncio.ensure_future(self._again(mount, self._delay))
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)

    async def _again(self, mount: Mount, delay: float) -> None:
        await asyncio.sleep(delay)
        if mount in self.mounts and not mount.is_connected:
            await self.attach(mount)
