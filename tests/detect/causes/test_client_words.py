"""Fixes in the words of the client that opened a connection."""

import pytest

from wscheck.detect.causes.catalogue import CATALOGUE, FRAMEWORK_FIXES
from wscheck.detect.causes.client_words import (
    LIBRARIES,
    PROTOCOLS,
    fix_for_client,
    fix_for_opening,
    opening_library,
)
from wscheck.model.code_facts import Api, OpeningCall
from wscheck.model.events import CodeLocation, Connected

APP = CodeLocation("src/board.jsx", 4)


def opened(protocol: str | None, *files: str) -> Connected:
    return Connected(protocol=protocol, opener=APP, stack=(*map(CodeLocation, files), APP))


@pytest.mark.parametrize(
    ("protocol", "fix", "said"),
    [
        (None, "`return () => socket.disconnect()`", "`return () => socket.disconnect()`"),
        ("websocket", "`return () => socket.disconnect()`", "`return () => socket.close()`"),
        (
            "websocket",
            "before io() at a.js:1, `x ??= io(url)`",
            "before new WebSocket() at a.js:1, `x ??= new WebSocket(url)`",
        ),
        ("event-stream", "`const socket = io(...)`", "`const socket = new EventSource(...)`"),
        ("event-stream", "Disconnect when it leaves", "Close it when it leaves"),
        ("another", "io()", "new WebSocket()"),
    ],
)
def test_a_fix_has_the_words_of_the_protocol(protocol: str | None, fix: str, said: str) -> None:
    assert fix_for_client(opened(protocol), "two-openers", fix) == said


PAGE_CAUSES = [
    *("two-openers", "effect-without-cleanup", "unmount-without-cleanup", "opened-after-cleanup"),
    *("opened-on-disconnect", "hot-reload", "reopened-without-closing", "opened-per-action", "io-in-render"),
    *("token-in-dependencies", "component-remounted", "reconnect-on-kick", "unstable-dependency", "token-refresh"),
    *("micro-frontends", "script-ran-twice", "frame-and-parent"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("cause", PAGE_CAUSES)
def test_no_fix_of_a_page_speaks_of_another_client(protocol: str, cause: str) -> None:
    written = [CATALOGUE[cause].fix, *(fixes[cause] for fixes in FRAMEWORK_FIXES.values() if cause in fixes)]
    for text in written:
        fix = fix_for_client(opened(protocol), cause, text)
        own = () if PROTOCOLS[protocol].close == "disconnect" else ("disconnect()",)
        foreign = (*own, " io(", "`io(", "forceNew", "io server", "emitWithAck")
        assert not any(word in fix for word in foreign)


def test_a_client_that_does_not_reconnect_is_not_said_to() -> None:
    one = OpeningCall(location=APP, api=Api.EVENT_SOURCE, constructor="SSE", library="sse.js")
    assert "`autoReconnect: true`" in fix_for_opening(one, "opened-on-disconnect", "the fix of the catalogue")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_has_fixes_for_known_causes(library: str) -> None:
    for cause, fix in LIBRARIES[library].items():
        assert cause in CATALOGUE
        one = opened("websocket", f"node_modules/{library}/src/index.ts")
        assert fix_for_client(one, cause, "the fix of the catalogue") == fix


@pytest.mark.parametrize(
    ("files", "library"),
    [
        (["node_modules/react-use-websocket/src/lib/use-websocket.ts"], "react-use-websocket"),
        (["<unmapped>", "../node_modules/@microsoft/fetch-event-source/lib/fetch.js"], "@microsoft/fetch-event-source"),
        (["node_modules/a/node_modules/partysocket/dist/ws.js"], "partysocket"),
        (["src/board.jsx", "node_modules/reconnecting-websocket/dist/x.js"], ""),
        (["node_modules/react-dom/cjs/react-dom.js"], ""),
        ([], ""),
    ],
)
def test_the_library_is_that_of_the_innermost_frame(files: list[str], library: str) -> None:
    assert opening_library(opened("websocket", *files).stack) == library


CLOSED = "return () => socket.disconnect()."


@pytest.mark.parametrize(
    ("api", "constructor", "opens", "closes"),
    [
        (Api.SOCKET_IO, "", "io(url)", "disconnect"),
        (Api.WEBSOCKET, "WebSocket", "new WebSocket(url)", "close"),
        (Api.WEBSOCKET, "SockJS", "new SockJS(...)", "close"),
        (Api.WEBSOCKET, "Party.Socket", "new Party.Socket(...)", "close"),
        (Api.EVENT_SOURCE, "EventSource", "new EventSource(url)", "close"),
        (Api.PUSHER, "Pusher", "new Pusher(...)", "disconnect"),
        (Api.ECHO, "Echo", "new Echo(...)", "disconnect"),
        (Api.MQTT, "", "mqtt.connect(url)", "end"),
    ],
)
def test_a_fix_for_code_names_what_the_code_names(api: Api, constructor: str, opens: str, closes: str) -> None:
    opening = OpeningCall(location=APP, api=api, constructor=constructor)
    assert fix_for_opening(opening, "effect-without-cleanup", CLOSED) == f"return () => socket.{closes}()."
    variable = {Api.PUSHER: "pusher", Api.ECHO: "echo", Api.MQTT: "client"}.get(api, "socket")
    assert fix_for_opening(opening, "io-in-render", "const socket = io(url)") == f"const {variable} = {opens}"


IN_EFFECT = (
    "`const socket = io(url); setSocket(socket); return () => socket.disconnect();` instead of at src/socket.ts:4"
)


@pytest.mark.parametrize(
    ("protocol", "code"),
    [
        ("graphql-ws", "const client = createClient({ url }); setClient(client); return () => client.dispose();"),
        ("pusher", "const pusher = new Pusher(key, options); setPusher(pusher); return () => pusher.disconnect();"),
        (
            "phoenix",
            "const socket = new Socket(url); socket.connect(); setSocket(socket); return () => socket.disconnect();",
        ),
        (
            "action-cable",
            "const consumer = createConsumer(url); setConsumer(consumer); return () => consumer.disconnect();",
        ),
        (
            "signalr",
            "const connection = new HubConnectionBuilder().withUrl(url).build(); connection.start(); "
            "setConnection(connection); return () => connection.stop();",
        ),
        (
            "stomp",
            "const client = new Client({ brokerURL }); client.activate(); setClient(client); "
            "return () => client.deactivate();",
        ),
        ("mqtt", "const client = mqtt.connect(url); setClient(client); return () => client.end();"),
        ("sockjs", "const socket = new SockJS(url); setSocket(socket); return () => socket.close();"),
    ],
)
def test_the_code_of_a_fix_is_that_of_the_library(protocol: str, code: str) -> None:
    fix = fix_for_client(opened(protocol), "io-in-render", IN_EFFECT)
    assert fix == f"`{code}` instead of at src/socket.ts:4"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_variable_of_the_application_keeps_its_name(protocol: str) -> None:
    fix = fix_for_client(opened(protocol), "unmount-without-cleanup", "end it with `return () => socket.disconnect()`")
    assert fix == f"end it with `return () => socket.{PROTOCOLS[protocol].close}()`"


@pytest.mark.parametrize(
    ("files", "cause", "said"),
    [
        (["graphql-ws/lib/client.mjs", "@apollo/client/link/index.js"], "two-openers", "one ApolloClient"),
        (["graphql-ws/lib/client.mjs", "@apollo/client/link/index.js"], "unmount-without-cleanup", "dispose()"),
        (["graphql-ws/lib/client.mjs", "@urql/core/dist/core.mjs"], "io-in-render", "one urql Client"),
        (["pusher-js/dist/web/pusher.js", "laravel-echo/dist/echo.js"], "two-openers", "Echo.leave(name)"),
        (
            ["@supabase/realtime-js/dist/RealtimeClient.js"],
            "unmount-without-cleanup",
            "supabase.removeChannel(channel)",
        ),
        (["graphql-ws/lib/client.mjs"], "two-openers", "one client (`createClient`"),
        (["pusher-js/dist/web/pusher.js"], "unmount-without-cleanup", "socket.disconnect()"),
    ],
)
def test_a_library_around_another_has_its_own_words(files: list[str], cause: str, said: str) -> None:
    protocol = "graphql-ws" if "graphql-ws" in files[0] else "pusher"
    one = opened(protocol, *(f"node_modules/{file}" for file in files))
    assert said in fix_for_client(one, cause, CLOSED)


@pytest.mark.parametrize("cause", ["effect-without-cleanup", "unmount-without-cleanup", "io-in-render"])
def test_a_stream_without_an_object_is_ended_by_its_signal(cause: str) -> None:
    opening = OpeningCall(location=APP, api=Api.EVENT_SOURCE, library="@microsoft/fetch-event-source")
    fix = fix_for_opening(opening, cause, CLOSED)
    assert "AbortController" in fix and "abort()" in fix and "close()" not in fix and "new EventSource" not in fix
