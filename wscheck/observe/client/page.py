"""A page as both clients share it: components mount and unmount, hear events, and act."""

from abc import ABC, abstractmethod

from wscheck.config.target import Credentials, ServerTarget
from wscheck.observe.client import console_messages as narration
from wscheck.observe.client.connection import Connection
from wscheck.observe.client.console_messages import Narrate
from wscheck.observe.client.handlers import Handlers
from wscheck.observe.client.listener import Witness


class Mount:
    """One component's use of the page's connection: what the documented hook returns."""

    def __init__(self, page: "Page", component: str, handlers: Handlers) -> None:
        self.page, self.component, self.handlers = page, component, handlers

    @property
    def connection(self) -> Connection | None:
        return self.page.connection_of(self)

    @property
    def is_connected(self) -> bool:
        connection = self.connection
        return connection is not None and connection.is_connected

    async def trigger_whatsapp_connection(self, data: object = None) -> None:
        self.page.narrate(narration.TRIGGERING)
        await self.emit(self.page.trigger, data)

    async def disconnect_whatsapp(self, data: object = None) -> None:
        await self.emit(self.page.disconnect, data)

    async def emit(self, name: str, data: object = None) -> None:
        connection = self.connection
        if connection is not None:
            await connection.emit(name, data)

    async def unmount(self) -> None:
        await self.page.unmount(self)


class Page(ABC):
    """One tab: one JavaScript world, so to speak. Subclasses decide who opens which connection.

    narrate              hears the documented console lines
    trigger, disconnect  what its wizard emits to connect WhatsApp, and to disconnect it
    """

    def __init__(self, name: str, target: ServerTarget, credentials: Credentials, witness: Witness) -> None:
        self.name, self.target, self.credentials, self.witness = name, target, credentials, witness
        self.narrate: Narrate = narration.silent
        self.trigger, self.disconnect = "trigger_whatsapp_connection", "disconnect_whatsapp"
        self.mounts: list[Mount] = []
        self._all: list[Connection] = []

    async def mount(self, component: str, handlers: Handlers | None = None) -> Mount:
        """A component begins to use the connection; `handlers` hear everything unless given."""
        mount = self.begin(component, handlers)
        await self.attach(mount)
        return mount

    def begin(self, component: str, handlers: Handlers | None = None) -> Mount:
        """The part of mounting that takes no time: `attach` then waits for the connection."""
        mount = Mount(self, component, handlers or Handlers.hearing_everything())
        self.mounts.append(mount)
        self.witness.mounted(self.name, component, self.credentials.user)
        return mount

    async def unmount(self, mount: Mount) -> None:
        """A component stops; unmounting twice is harmless, as a hook's cleanup is."""
        if mount not in self.mounts:
            return
        self.mounts.remove(mount)
        self.witness.unmounted(self.name, mount.component, self.credentials.user)
        await self.detach(mount)

    async def close(self) -> None:
        """Leave no connection behind, whatever the scenario did."""
        for connection in self._all:
            await connection.close()

    def new_connection(self, mount: Mount) -> Connection:
        """A connection opened for `mount`, which this page hears and will close in the end."""
        connection = Connection(self.target, self.credentials, self, page=self.name, component=mount.component)
        self._all.append(connection)
        return connection

    @abstractmethod
    async def attach(self, mount: Mount) -> None:
        """Give the mount its connection."""

    @abstractmethod
    async def detach(self, mount: Mount) -> None:
        """Take it away."""

    @abstractmethod
    async def reconnect(self) -> None:
        """What the application does when its connection was lost."""

    @abstractmethod
    def connection_of(self, mount: Mount) -> Connection | None:
        """The connection that serves this mount now."""

    @abstractmethod
    def hearers(self, connection: Connection) -> list[Mount]:
        """The mounts that hear this connection's events."""

    @property
    def connections(self) -> list[Connection]:
        """Every connection the page ever opened, oldest first."""
        return list(self._all)

    # --- what its connections tell (client.connection.Listener) -----------------------------------------------

    def connecting(self, connection: Connection) -> None:
        self.narrate(narration.CREATING)
        self.witness.connecting(connection)

    def connected(self, connection: Connection) -> None:
        self.narrate(narration.CONNECTED)
        self.witness.connected(connection)

    def refused(self, connection: Connection, reason: str, message: str) -> None:
        self.witness.refused(connection, reason, message)
        for mount in self.hearers(connection):
            if mount.handlers.on_connection_error is not None:
                mount.handlers.on_connection_error({"reason": reason, "message": message})

    def disconnected(self, connection: Connection, reason: str) -> None:
        self.witness.disconnected(connection, reason)

    def delivered(self, connection: Connection, name: str, payload: object) -> None:
        line = narration.received(name, payload)
        if line is not None:
            self.narrate(line)
        self.witness.delivered(connection, name, payload)
        for mount in self.hearers(connection):
            handler = mount.handlers.named(name, payload)
            if handler is not None:
                handler(payload)
                self.witness.handled(connection, mount.component, name, payload)

    def emitted(self, connection: Connection, name: str) -> None:
        self.witness.emitted(connection, name)

    def unreadable(self, connection: Connection, reason: str) -> None:
        self.witness.unreadable(connection, reason)
