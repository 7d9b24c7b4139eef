"""Connections of development servers, for hot and live reload. They are listed, but not evaluated.

A page has them only while it is developed. The development server's script opens and renews them, not the application.
"""

from collections.abc import Sequence
from typing import Any

from wscheck.protocols.protocol import Confidence, Data, Opening, Protocol, Transport
from wscheck.protocols.socket_io_session import parse_engine_url
from wscheck.protocols.websocket import PlainWebSocketSession, decode_json


class DevServer(Protocol):
    """Development server, recognised by its subprotocol, its path or the first messages that it sends.

    subprotocols  subprotocols that only this tool uses
    paths         starts of paths that only this tool uses
    """

    id = "dev-server"
    is_left_out = True
    subprotocols: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def __init__(self, name: str, subprotocols: Sequence[str] = (), paths: Sequence[str] = ()) -> None:
        self.name = name  # type: ignore[misc]  # one class for several tools
        self.subprotocols, self.paths = tuple(subprotocols), tuple(paths)

    def recognise(self, opening: Opening) -> Confidence:
        if opening.transport is Transport.POLLING and parse_engine_url(opening.url) is None:
            return Confidence.NONE
        if self.subprotocols and opening.speaks(*self.subprotocols):
            return Confidence.CERTAIN
        if self.paths and opening.path.startswith(self.paths):
            return Confidence.CERTAIN
        is_spoken = opening.transport is not Transport.POLLING and self.speaks(opening.sent, opening.received)
        return Confidence.LIKELY if is_spoken else Confidence.NONE

    def speaks(self, sent: Sequence[Data], received: Sequence[Data]) -> bool:
        """Return whether the first messages show that this tool is the server. The default returns False."""
        return False

    def start_session(self, opening: Opening) -> PlainWebSocketSession:
        return PlainWebSocketSession()


class WebpackDevServer(DevServer):
    """Webpack's development server, and those that speak its protocol (Rspack, Angular and Vue with webpack)."""

    _TYPES = frozenset({"hot", "liveReload", "reconnect", "overlay", "progress", "hash", "ok", "still-ok", "warnings"})
    _FIRST = frozenset({"hot", "liveReload", "overlay", "reconnect", "progress", "hash"})

    def speaks(self, sent: Sequence[Data], received: Sequence[Data]) -> bool:
        messages = [decode_json(data) for data in received]
        first: Any = messages[0] if messages else None
        return self._is_message(first) and first["type"] in self._FIRST and all(map(self._is_message, messages[1:]))

    def _is_message(self, message: Any) -> bool:
        return isinstance(message, dict) and message.get("type") in self._TYPES and set(message) <= {"type", "data"}


class LiveReload(DevServer):
    """The LiveReload protocol: client and server greet each other with the versions that they speak."""

    def speaks(self, sent: Sequence[Data], received: Sequence[Data]) -> bool:
        return any(
            isinstance(data, str) and "livereload.com/protocols/" in data and '"hello"' in data
            for data in (*sent[:1], *received[:1])
        )


class Parcel(DevServer):
    """Parcel's runtime for hot module replacement."""

    def speaks(self, sent: Sequence[Data], received: Sequence[Data]) -> bool:
        message: Any = decode_json(received[0]) if received else None
        if not isinstance(message, dict):
            return False
        return set(message) in ({"type", "assets"}, {"type", "diagnostics"}) and message["type"] in ("update", "error")


DEV_SERVERS: tuple[DevServer, ...] = (
    DevServer("Vite", ["vite-hmr", "vite-ping"], ["/@vite", "/__vite"]),
    DevServer("Next.js", paths=["/_next/webpack-hmr", "/_next/hmr", "/_next/turbopack-hmr"]),
    DevServer("Nuxt", paths=["/_nuxt/"]),
    DevServer("Browsersync", paths=["/browser-sync/"]),
    DevServer("Storybook", paths=["/storybook-server-channel"]),
    DevServer("esbuild", paths=["/esbuild"]),
    DevServer("Phoenix live reload", paths=["/phoenix/live_reload/"]),
    LiveReload("LiveReload", paths=["/livereload"]),
    WebpackDevServer(
        "webpack", paths=["/sockjs-node", "/__webpack_hmr", "/ng-cli-ws", "/__rspack_hmr", "/rsbuild-hmr"]
    ),
    Parcel("Parcel"),
)
"""Development servers whose connections are recognised."""
