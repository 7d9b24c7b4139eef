"""Simulated pages: components mount, receive events, emit and unmount. `ClientRecorder` records this as events.

`UnifiedPage` is the hook `useUnifiedWebSocket` of docs/origin.md: all components share one connection.
`PerComponentPage` has the fault that the hook repairs: each component opens a connection.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from wscheck.config.event_contract import Contract, mentions_user
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.model.events import (
    SOURCE_CLIENT,
    Connected,
    Connecting,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    Handled,
    HeartbeatStopped,
    Mounted,
    Refused,
    Unmounted,
    Unreadable,
    Upgraded,
)
from wscheck.model.secrets import Redactor
from wscheck.observe.client import console_messages
from wscheck.observe.client.cancellation import cancel_all
from wscheck.observe.client.connection import ClientConnection, ConnectionListener
from wscheck.observe.client.console_messages import ConsoleLog
from wscheck.observe.client.new_connection import new_connection
from wscheck.observe.traffic.redaction import MAX_TEXT_LENGTH, TrafficRedactor
from wscheck.protocols.websocket import is_heartbeat

EventHandler = Callable[[Any], None]

_HANDLER_BY_EVENT = {
    "bot_status_update": "on_bot_status_update",
    "message_sync": "on_message_sync",
    "connection_update": "on_connection_update",
}
_HANDLER_BY_WHATSAPP_TYPE = {
    "whatsapp_connected": "on_whatsapp_connected",
    "whatsapp_disconnected": "on_whatsapp_disconnected",
    "qr_updated": "on_qr_updated",
    "connection_failed": "on_connection_failed",
}


@dataclass(frozen=True)
class EventHandlers:
    """Handlers of one component (docs/origin.md, "Solution").

    `on_event` handles every event that has no handler field of its own here, such as the events of a contract that are
    not in docs/origin.md.
    """

    on_bot_status_update: EventHandler | None = None
    on_message_sync: EventHandler | None = None
    on_connection_update: EventHandler | None = None
    on_connection_error: EventHandler | None = None
    on_reconnect: Callable[[], None] | None = None
    on_whatsapp_connected: EventHandler | None = None
    on_whatsapp_disconnected: EventHandler | None = None
    on_qr_updated: EventHandler | None = None
    on_connection_failed: EventHandler | None = None
    on_event: EventHandler | None = None

    @classmethod
    def for_all_events(cls) -> "EventHandlers":
        """Return handlers that accept every event and do nothing. Simulated components mount with these handlers."""
        no_ops = {field.name: (lambda _=None: None) for field in fields(cls)}
        return cls(**no_ops)

    def handler_for(self, name: str, payload: object) -> EventHandler | None:
        """Return the handler of this event, or None if the component does not handle it."""
        if name == "whatsapp_connection_event":
            kind = payload.get("type") if isinstance(payload, dict) else None
            attribute = _HANDLER_BY_WHATSAPP_TYPE.get(str(kind), "on_event")
        else:
            attribute = _HANDLER_BY_EVENT.get(name, "on_event")
        handler: EventHandler | None = getattr(self, attribute)
        return handler


class PageListener(ConnectionListener, Protocol):
    """Callbacks for the events of a page, its connections and its components."""

    def mounted(self, page: str, component: str, user: str) -> None: ...
    def unmounted(self, page: str, component: str, user: str) -> None: ...
    def handled(self, connection: ClientConnection, component: str, name: str, payload: object) -> None: ...
    def silenced(self, connection: ClientConnection, within: float) -> None: ...


class MountedComponent:
    """One mounted component, with the interface that the hook `useUnifiedWebSocket` of docs/origin.md returns."""

    def __init__(self, page: "SimulatedPage", component: str, handlers: EventHandlers) -> None:
        self.page, self.component, self.handlers = page, component, handlers

    @property
    def connection(self) -> ClientConnection | None:
        return self.page.connection_for(self)

    @property
    def is_connected(self) -> bool:
        connection = self.connection
        return connection is not None and connection.is_connected

    async def trigger_whatsapp_connection(self, data: object = None) -> None:
        self.page.console(console_messages.TRIGGERING)
        await self.emit(self.page.trigger_event, data)

    async def disconnect_whatsapp(self, data: object = None) -> None:
        await self.emit(self.page.disconnect_event, data)

    async def emit(self, name: str, data: object = None) -> None:
        connection = self.connection
        if connection is not None:
            await connection.emit(name, data)

    async def unmount(self) -> None:
        await self.page.unmount(self)


RETRY_S = 1.0
"""Seconds between a refusal and the retry. A server may still count a user's previous connection just after its end."""


async def _do_nothing() -> None:
    pass


class SimulatedPage(ABC):
    """One browser tab. Subclasses decide which component opens which connection.

    console           function that receives the documented console lines
    trigger_event     event that a component emits to start an action (`actions.trigger`)
    disconnect_event  event that a component emits to end this action (`actions.disconnect`)
    components        mounted components, oldest first
    component_names   dict of a component's name in `mount` to its name in reports, only for names that differ
    before_unmount    function that is awaited before a component unmounts
    is_sole_page      function that returns True if the user has no open connection; the page then retries once after
                      a refusal
    is_scripted       True if mounts are steps of a scenario. False if they imitate a client that connects by itself:
                      the rule about excessive connection attempts then counts these attempts
    """

    def __init__(self, name: str, target: ServerTarget, credentials: Credentials, listener: PageListener) -> None:
        self.name, self.target, self.credentials, self.listener = name, target, credentials, listener
        self.console: ConsoleLog = console_messages.discard_line
        self.trigger_event, self.disconnect_event = "trigger_whatsapp_connection", "disconnect_whatsapp"
        self.components: list[MountedComponent] = []
        self.component_names: Mapping[str, str] = {}
        self.is_sole_page: Callable[[], bool] = lambda: False
        self.is_scripted = True
        self.before_unmount: Callable[[], Awaitable[None]] = _do_nothing
        self._connections: list[ClientConnection] = []

    async def mount(self, component: str, handlers: EventHandlers | None = None) -> MountedComponent:
        """Mount a component and wait for its connection. Without `handlers`, the component handles every event."""
        mounted = self.add_component(component, handlers)
        await self.attach(mounted)
        return mounted

    def add_component(self, component: str, handlers: EventHandlers | None = None) -> MountedComponent:
        """Mount a component without a connection. `attach` connects it."""
        component = self.component_names.get(component, component)
        mounted = MountedComponent(self, component, handlers or EventHandlers.for_all_events())
        self.components.append(mounted)
        self.listener.mounted(self.name, component, self.credentials.user)
        return mounted

    async def unmount(self, mounted: MountedComponent) -> None:
        """Unmount a component. Like the cleanup of a hook, a second call does nothing."""
        if mounted not in self.components:
            return
        await self.before_unmount()
        self.components.remove(mounted)
        self.listener.unmounted(self.name, mounted.component, self.credentials.user)
        await self.detach(mounted)

    async def close(self) -> None:
        """Close every connection that the page opened."""
        for connection in self._connections:
            await connection.close()

    def new_connection(self, mounted: MountedComponent) -> ClientConnection:
        """Return a new connection that `mounted` opens. The page listens to it, and closes it in `close`."""
        connection = new_connection(self.target, self.credentials, self, page=self.name, component=mounted.component)
        self._connections.append(connection)
        return connection

    async def open_connection(self, mounted: MountedComponent, *, by_scenario: bool = True) -> None:
        """Open the component's connection. Try once more if the server refused the user's only connection.

        by_scenario  True if a step of a scenario needs the connection, False if the simulated client connects by itself
        """
        connection = self.connect_component(mounted)
        connection.by_scenario = by_scenario and self.is_scripted
        if await connection.open() or connection.rejection is None or not self.is_sole_page():
            return
        await asyncio.sleep(RETRY_S)
        if mounted in self.components and self.is_sole_page():
            connection = self.connect_component(mounted)
            connection.by_scenario = True  # no client of the application makes this attempt
            await connection.open()

    @abstractmethod
    def connect_component(self, mounted: MountedComponent) -> ClientConnection:
        """Give the component a new connection in place of its former one, and return it. It is not open yet."""

    @abstractmethod
    async def attach(self, mounted: MountedComponent) -> None:
        """Connect a component that has just mounted."""

    @abstractmethod
    async def detach(self, mounted: MountedComponent) -> None:
        """Disconnect a component that has just unmounted, if no other component uses its connection."""

    @abstractmethod
    async def reconnect(self) -> None:
        """Reconnect components whose connection was lost, as the application does."""

    @abstractmethod
    def connection_for(self, mounted: MountedComponent) -> ClientConnection | None:
        """Return the connection that the component uses now."""

    @abstractmethod
    def subscribers(self, connection: ClientConnection) -> list[MountedComponent]:
        """Return the components that receive the events of this connection."""

    @property
    def connections(self) -> list[ClientConnection]:
        """All connections that the page opened, oldest first."""
        return list(self._connections)

    # --- ConnectionListener --------------------------------------------------------------------------------------

    def connecting(self, connection: ClientConnection) -> None:
        self.console(console_messages.CREATING)
        self.listener.connecting(connection)

    def connected(self, connection: ClientConnection) -> None:
        self.console(console_messages.CONNECTED)
        self.listener.connected(connection)

    def refused(self, connection: ClientConnection, reason: str, message: str) -> None:
        self.listener.refused(connection, reason, message)
        for mounted in self.subscribers(connection):
            if mounted.handlers.on_connection_error is not None:
                mounted.handlers.on_connection_error({"reason": reason, "message": message})

    def upgraded(self, connection: ClientConnection) -> None:
        self.listener.upgraded(connection)

    def disconnected(self, connection: ClientConnection, reason: str) -> None:
        self.listener.disconnected(connection, reason)

    def delivered(self, connection: ClientConnection, name: str, payload: object) -> None:
        line = console_messages.received_line(name, payload)
        if line is not None:
            self.console(line)
        self.listener.delivered(connection, name, payload)
        for mounted in self.subscribers(connection):
            handler = mounted.handlers.handler_for(name, payload)
            if handler is not None:
                handler(payload)
                self.listener.handled(connection, mounted.component, name, payload)

    def emitted(self, connection: ClientConnection, name: str) -> None:
        self.listener.emitted(connection, name)

    def unreadable(self, connection: ClientConnection, reason: str) -> None:
        self.listener.unreadable(connection, reason)


class UnifiedPage(SimulatedPage):
    """A page whose components share one connection, which closes when the last component unmounts.

    This is the hook `useUnifiedWebSocket` of docs/origin.md. It does not reconnect by itself, so a page whose
    connection was replaced does not replace the newer one in turn.
    """

    _shared: ClientConnection | None = None
    _opening: asyncio.Lock | None = None

    async def attach(self, mounted: MountedComponent) -> None:
        # Two components that mount at the same time must wait for one connection instead of opening two.
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if mounted in self.components and (self._shared is None or not self._shared.is_connected):
                await self.open_connection(mounted)

    def connect_component(self, mounted: MountedComponent) -> ClientConnection:
        self._shared = self.new_connection(mounted)
        return self._shared

    async def detach(self, mounted: MountedComponent) -> None:
        if not self.components and self._shared is not None:
            shared, self._shared = self._shared, None
            await shared.close()

    async def reconnect(self) -> None:
        if not self.components or self._shared is None or self._shared.is_connected:
            return
        await self.open_connection(self.components[0])
        if self._shared.is_connected:
            for mounted in self.components:
                if mounted.handlers.on_reconnect is not None:
                    mounted.handlers.on_reconnect()

    def connection_for(self, mounted: MountedComponent) -> ClientConnection | None:
        return self._shared if mounted in self.components else None

    def subscribers(self, connection: ClientConnection) -> list[MountedComponent]:
        return list(self.components) if connection is self._shared else []


class PerComponentPage(SimulatedPage):
    """A page whose components open one connection each: `useBotWebSocket` together with `useWhatsAppConnection`.

    A Socket.IO client does not reconnect after the server disconnected it. The loop of replacements in docs/origin.md
    needs application code that reconnects. This page reconnects `reconnect_delay_s` seconds after the disconnect, or
    never if that is None.
    """

    def __init__(
        self,
        name: str,
        target: ServerTarget,
        credentials: Credentials,
        listener: PageListener,
        *,
        reconnect_delay_s: float | None = None,
    ) -> None:
        super().__init__(name, target, credentials, listener)
        self._reconnect_delay_s = reconnect_delay_s
        self._connection_by_component: dict[MountedComponent, ClientConnection] = {}
        self._reconnect_tasks: set[asyncio.Task[None]] = set()

    async def attach(self, mounted: MountedComponent) -> None:
        await self.open_connection(mounted)

    def connect_component(self, mounted: MountedComponent) -> ClientConnection:
        self._connection_by_component[mounted] = self.new_connection(mounted)
        return self._connection_by_component[mounted]

    async def detach(self, mounted: MountedComponent) -> None:
        connection = self._connection_by_component.pop(mounted, None)
        if connection is not None:
            await connection.close()

    async def reconnect(self) -> None:
        for mounted in list(self.components):
            if not mounted.is_connected:
                await self.attach(mounted)
                if mounted.handlers.on_reconnect is not None:
                    mounted.handlers.on_reconnect()

    async def close(self) -> None:
        # Without components, nothing reconnects when the connections below close.
        self.components.clear()
        self._connection_by_component.clear()
        await cancel_all(self._reconnect_tasks)
        await super().close()

    def connection_for(self, mounted: MountedComponent) -> ClientConnection | None:
        return self._connection_by_component.get(mounted)

    def subscribers(self, connection: ClientConnection) -> list[MountedComponent]:
        return [mounted for mounted, own in self._connection_by_component.items() if own is connection]

    def disconnected(self, connection: ClientConnection, reason: str) -> None:
        super().disconnected(connection, reason)
        if self._reconnect_delay_s is None or reason not in (IO_SERVER_DISCONNECT, TRANSPORT_CLOSE):
            return
        for mounted in self.subscribers(connection):
            task = asyncio.ensure_future(self._reconnect_later(mounted, self._reconnect_delay_s))
            self._reconnect_tasks.add(task)
            task.add_done_callback(self._reconnect_tasks.discard)

    async def _reconnect_later(self, mounted: MountedComponent, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if mounted in self.components and not mounted.is_connected:
            await self.open_connection(mounted, by_scenario=False)


class ClientRecorder:
    """A `PageListener` that records events. Payloads are recorded only as keyed digests.

    Texts and ids are recorded as the server sent them, because rules compare them. `redactor` is used only to
    shorten long texts without cutting a secret in two.
    """

    def __init__(
        self, record: Callable[[Event], None], contract: Contract, redactor: Redactor, users: Sequence[str] = ()
    ) -> None:
        """Prepare to record with `record`. `users` are the ids of the run's users, which payloads may mention."""
        self._record, self._contract, self._redactor, self._users = record, contract, redactor, users
        self._traffic = TrafficRedactor()
        self._digest = self._traffic.digest

    def connecting(self, connection: ClientConnection) -> None:
        token = connection.credentials.token
        self._record(
            Connecting(
                **self._connection_fields(connection),
                url=connection.target.display_url,
                credential=connection.credentials.kind,
                fingerprint=self._digest(token.reveal()) if token is not None else None,
                by_scenario=connection.by_scenario,
            )
        )

    def connected(self, connection: ClientConnection) -> None:
        self._record(Connected(**self._connection_fields(connection), credential=connection.credentials.kind))

    def refused(self, connection: ClientConnection, reason: str, message: str) -> None:
        self._record(
            Refused(
                **self._connection_fields(connection),
                reason=reason,
                message=self._cut(message),
                credential=connection.credentials.kind,
            )
        )

    def upgraded(self, connection: ClientConnection) -> None:
        self._record(Upgraded(**self._connection_fields(connection)))

    def disconnected(self, connection: ClientConnection, reason: str) -> None:
        self._record(Disconnected(**self._connection_fields(connection), reason=reason))

    def delivered(self, connection: ClientConnection, name: str, payload: object) -> None:
        if self._is_beat(connection, name, payload):
            return
        contracted = self._contract.event_named(name)
        about = contracted.user_in(payload) if contracted is not None else None
        fields = self._connection_fields(connection)
        self._record(
            Delivered(
                **fields,
                name=self._cut(name),
                **self._traffic.identify(payload, fields["at"]),
                about=self._cut(about) if about is not None else None,
                mentions=tuple(user for user in self._users if mentions_user(payload, user)),
            )
        )

    def _is_beat(self, connection: ClientConnection, name: str, payload: object) -> bool:
        """Return whether a message is a heartbeat, which only keeps a connection without Socket.IO open.

        A heartbeat is not recorded as an event, because pages ignore it too.
        """
        is_plain = not connection.target.is_socket_io and self._contract.event_named(name) is None
        return is_plain and is_heartbeat(payload, name)

    def handled(self, connection: ClientConnection, component: str, name: str, payload: object) -> None:
        if self._is_beat(connection, name, payload):
            return
        fields = {**self._connection_fields(connection), "component": component}
        self._record(Handled(**fields, name=self._cut(name), digest=self._digest(payload)))

    def emitted(self, connection: ClientConnection, name: str) -> None:
        self._record(Emitted(**self._connection_fields(connection), name=name))

    def silenced(self, connection: ClientConnection, within: float) -> None:
        self._record(HeartbeatStopped(**self._connection_fields(connection), within=within))

    def unreadable(self, connection: ClientConnection, reason: str) -> None:
        user = connection.credentials.user
        self._record(Unreadable(at=time.time(), source=SOURCE_CLIENT, user=user, reason=self._cut(reason)))

    def mounted(self, page: str, component: str, user: str) -> None:
        self._record(Mounted(at=time.time(), source=SOURCE_CLIENT, user=user, page=page, component=component))

    def unmounted(self, page: str, component: str, user: str) -> None:
        self._record(Unmounted(at=time.time(), source=SOURCE_CLIENT, user=user, page=page, component=component))

    def _connection_fields(self, connection: ClientConnection) -> dict[str, Any]:
        return {
            "at": time.time(),
            "source": SOURCE_CLIENT,
            "user": connection.credentials.user,
            "sid": self._cut(connection.sid) if connection.sid is not None else None,
            "eio": self._cut(connection.eio) if connection.eio is not None else None,
            "namespace": connection.target.namespace if connection.protocol is None else None,
            "protocol": connection.protocol,
            "transport": connection.transport if connection.sid is not None else None,
            "page": connection.page,
            "component": connection.component,
        }

    def _cut(self, text: str) -> str:
        """Return a text from the server, shortened to about `MAX_TEXT_LENGTH` characters."""
        return self._redactor.cut(text, MAX_TEXT_LENGTH)
