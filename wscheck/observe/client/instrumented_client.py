"""python-socketio's AsyncClient, observed packet by packet.

The stock client loses a kick that arrives before its own connect() returned, and cannot be asked to fall silent;
both are what wscheck is about, so this file reaches into it (python-socketio 5.x) where its public handlers do not.
"""

import asyncio
import logging
from typing import Any, Protocol

import engineio
import socketio

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.observe.client import frame_tap as tapping
from wscheck.observe.client.frame_tap import TappedSocket, is_astray, tapped

# What these libraries would print on their own belongs to no format; whatever matters becomes an event.
for _name in ("socketio.client", "engineio.client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class Observer(tapping.Observer, Protocol):
    """Hears what becomes of the connection, packet by packet.

    acknowledged  the namespace answered CONNECT, with `data`
    rejected      it answered CONNECT_ERROR
    arrived       an event came: its name, then its arguments
    ended         the server ended it (IO_SERVER_DISCONNECT), or the transport is gone (TRANSPORT_CLOSE)
    astray        a request of its session reached a process that does not know it
    """

    def acknowledged(self, data: object) -> None: ...
    def rejected(self, data: object) -> None: ...
    def arrived(self, data: list[Any]) -> None: ...
    def ended(self, reason: str) -> None: ...
    def astray(self) -> None: ...


class _Engine(engineio.AsyncClient):  # type: ignore[misc]
    """An Engine.IO client that can stop answering pings, and says why a websocket failed."""

    silent = False
    observer: Observer
    ws: Any

    async def _connect_websocket(self, url: str, headers: Any, engineio_path: str) -> bool:
        connected = bool(await super()._connect_websocket(url, headers, engineio_path))
        if connected:
            # Before the read loop, which was only scheduled, takes its first step.
            self.ws = TappedSocket(self.ws, self.observer)
        return connected

    async def _send_request(self, method: str, *arguments: Any, **options: Any) -> Any:
        answer = await super()._send_request(method, *arguments, **options)
        if method == "GET":
            answer = await tapped(answer, self.observer)
        if self.state == "connected" and await is_astray(answer):
            self.observer.astray()
        return answer

    async def _receive_packet(self, pkt: Any) -> None:
        if pkt.packet_type > engineio.packet.NOOP:
            self.observer.malformed(f"an Engine.IO packet of type {pkt.packet_type}")
        await super()._receive_packet(pkt)

    async def _send_packet(self, pkt: Any) -> None:
        if not (self.silent and pkt.packet_type == engineio.packet.PONG):
            await super()._send_packet(pkt)

    async def _write_loop(self) -> None:
        await super()._write_loop()
        if self.state == "disconnecting" and self.current_transport == "polling":
            # The goodbye has been sent. A server may leave the open poll unanswered until its next ping is due.
            await self.http.close()

    def fall_silent(self) -> None:
        self.silent = True
        # Otherwise the client itself would give up on a server that waits for its pong.
        self.ping_timeout = 86_400.0


class ObservedClient(socketio.AsyncClient):  # type: ignore[misc]
    """A Socket.IO client that reports every packet to its observer."""

    def __init__(self, observer: Observer, **options: Any) -> None:
        self._observer = observer
        super().__init__(**options)
        self.eio.observer = observer

    def _engineio_client_class(self) -> type:
        return _Engine

    async def _handle_eio_message(self, data: Any) -> None:
        try:
            await super()._handle_eio_message(data)
        except asyncio.CancelledError:
            raise
        except Exception:
            # A malformed packet must not vanish in a task that nobody awaits.
            self._observer.malformed("a packet that is not Socket.IO")

    async def _handle_connect(self, namespace: str | None, data: Any) -> None:
        await super()._handle_connect(namespace, data)
        self._observer.acknowledged(data)

    async def _handle_disconnect(self, namespace: str | None) -> None:
        self._observer.ended(IO_SERVER_DISCONNECT)
        self.connected = True  # a kick may overtake connect(): the stock client would ignore it
        await super()._handle_disconnect(namespace)

    async def _handle_error(self, namespace: str | None, data: Any) -> None:
        self._observer.rejected(data)
        await super()._handle_error(namespace, data)

    async def _handle_event(self, namespace: str | None, id: Any, data: Any) -> None:
        if not (isinstance(data, list) and data and isinstance(data[0], str)):
            raise ValueError("an event without a name")
        self._observer.arrived(data)
        await super()._handle_event(namespace, id, data)

    async def _handle_eio_disconnect(self, reason: str) -> None:
        self._observer.ended(TRANSPORT_CLOSE)
        await super()._handle_eio_disconnect(reason)
