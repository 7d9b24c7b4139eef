"""Fixes in the words of the client that opened the connection.

The client is the browser's WebSocket or EventSource, or a library. The catalogue and the fixes that name code use the
words of socket.io-client. A connection of another protocol has another constructor and another method that closes it.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from wscheck.model.code_facts import Api, OpeningCall
from wscheck.model.events import CodeLocation, Connected

_PACKAGE = re.compile(r"(?:^|(?<=/))node_modules/((?:@[\w.-]+/)?[\w.-]+)/")
_IN_BUNDLE_NOT_LIBRARY = frozenset({"react-dom", "react", "scheduler", "vue", "zone.js", "preact", "svelte", "rxjs"})


class ClientWords(msgspec.Struct, frozen=True):
    """Pieces of a client library's code, for the texts of fixes.

    constructor  expression that opens a connection, without its arguments
    close        method that closes it
    fixes        dict of cause id to fix, for causes whose fix is different with this library
    variable     usual name of a variable with the client
    arguments    arguments of the constructor
    build        call after the constructor that returns the client, such as ".build()"; "" if there is none
    start        method that connects the client, "" if the constructor connects it
    """

    constructor: str
    close: str
    fixes: dict[str, str] = {}
    variable: str = "socket"
    arguments: str = "url"
    build: str = ""
    start: str = ""

    def translate(self, text: str) -> str:
        """Return a fix for socket.io-client in the words of this client."""
        text = text.replace(" Remove forceNew as well.", "").replace(", without forceNew and with one URL", "")
        text = text.replace("io(url)", f"io({self.arguments})")
        text = re.sub(r"\bio\(((?:\{[^}]*\}|[^(){}])++)\)", rf"{self.constructor}(\1){self.build}", text)
        text = re.sub(r"\bio\((?=[^)]*\))", f"{self.constructor}(", text)
        text = text.replace(".disconnect()", f".{self.close}()").replace(".emitWithAck(", ".send(")
        if self.start:
            text = text.replace("setSocket(socket);", f"socket.{self.start}(); setSocket(socket);")
        if "const socket = " in text:  # the variable of the fix, not one of the code
            methods = "|".join(filter(None, (self.close, self.start)))
            text = text.replace("setSocket(socket)", f"set{self.variable.capitalize()}({self.variable})")
            text = re.sub(
                rf"(?<=const )socket(?= =)|(?<=keep the )socket\b|\bsocket(?=\.(?:{methods})\()", self.variable, text
            )
        return text.replace("Disconnect when", "Close it when").replace("Disconnect in", "Close it in")


_SHARE_NOTHING = "two connections to one endpoint share nothing"

_WEBSOCKET = ClientWords(
    "new WebSocket",
    "close",
    {
        "reconnect-on-kick": "Stay closed if the server closed on purpose (`event.code` 1008 or 4000 to 4999 in the "
        "close handler); otherwise wait longer before each further attempt, with jitter.",
        "opened-on-disconnect": "Let one place reconnect: the close handler, or the library, not both; and wait "
        "longer before each further attempt.",
        "token-in-dependencies": "Leave the token out of the dependencies; send the new token as a message, or use it"
        " when the connection opens again.",
        "token-refresh": "Close the connection before another opens with the new token, or send the new token as a "
        "message.",
        "opened-per-action": "Open one connection, keep it, and send each request as a message.",
        "forced-new-connection": "Open one connection for all callers, and send what varies as a message: "
        f"{_SHARE_NOTHING}.",
    },
)

_EVENT_SOURCE = ClientWords(
    "new EventSource",
    "close",
    {
        "reconnect-on-kick": "EventSource reconnects by itself: open no other in its error handler. A server that "
        "wants it to stop answers with HTTP 204; `retry:` in the stream makes it wait longer.",
        "opened-on-disconnect": "Remove `new EventSource()` from the error handler: EventSource reconnects by itself."
        " Close it before you open another.",
        "token-in-dependencies": "Leave the token out of the dependencies: authenticate with a cookie, or close the "
        "stream and open it with the new token only when the server refuses the old one.",
        "token-refresh": "Close the stream before another opens with the new token.",
        "opened-per-action": "Open one stream, keep it, and reuse it: ask for each change with a request.",
        "forced-new-connection": f"Open one stream for all callers: {_SHARE_NOTHING}.",
    },
)

_ONE_GRAPHQL_CLIENT = (
    "Create one client (`createClient`; one ApolloClient with one GraphQLWsLink) in one module or provider, and let "
    "every component subscribe with it: one connection carries any number of subscriptions."
)
_ONE_PUSHER = (
    "Create one Pusher (one Echo) in one module, and let every component subscribe with it: one connection carries any "
    "number of channels."
)


def _reconnecting_client(
    constructor: str, close: str, share: str, *, waits: str, token: str, **code: str
) -> ClientWords:
    """Return the words for the fixes of a client library that reconnects automatically.

    constructor  expression that opens a connection, without its arguments
    close        method that closes it
    share        fix for several connections: a sentence
    waits        option or message that makes the client wait longer between attempts
    token        clause about how a new connection gets the current token
    code         further fields of the words
    """
    return ClientWords(
        constructor,
        close,
        {
            **_WEBSOCKET.fixes,
            "two-openers": share,
            "opened-per-action": share,
            "forced-new-connection": share,
            "opened-on-disconnect": f"Remove `{constructor}()` from the handler: the client connects again by itself.",
            "reconnect-on-kick": f"Call `{close}()` when the server closes on purpose, because the client connects "
            f"again otherwise; and wait longer before each further attempt ({waits}).",
            "token-in-dependencies": f"Leave the token out of the dependencies: {token}.",
        },
        **code,
    )


PROTOCOLS: dict[str, ClientWords] = {
    "websocket": _WEBSOCKET,
    "event-stream": _EVENT_SOURCE,
    "graphql-ws": ClientWords(
        "createClient",
        "dispose",
        {
            **_WEBSOCKET.fixes,
            "two-openers": _ONE_GRAPHQL_CLIENT,
            "opened-per-action": _ONE_GRAPHQL_CLIENT,
            "opened-on-disconnect": "Remove `createClient()` from the close handler: the client connects again by "
            "itself (`retryAttempts`, `shouldRetry`).",
            "reconnect-on-kick": "Let `shouldRetry` return false for close codes with which the server closes on "
            "purpose, and let `retryWait` wait longer before each further attempt.",
            "token-in-dependencies": "Leave the token out of the dependencies, and pass `connectionParams` as a "
            "function: it is called for each connection.",
        },
        variable="client",
        arguments="{ url }",
    ),
    "pusher": ClientWords(
        "new Pusher",
        "disconnect",
        {
            **_WEBSOCKET.fixes,
            "two-openers": _ONE_PUSHER,
            "opened-per-action": _ONE_PUSHER,
            "opened-on-disconnect": "Remove `new Pusher()` from the handler: the client connects again by itself.",
            "token-in-dependencies": "Leave the token out of the dependencies: `channelAuthorization` may be a "
            "function, which is called for each channel.",
        },
        variable="pusher",
        arguments="key, options",
    ),
    "sockjs": ClientWords("new SockJS", "close", _WEBSOCKET.fixes),
    "phoenix": _reconnecting_client(
        "new Socket",
        "disconnect",
        "Create one Socket in one module or provider, and let every component join its topics on it: one connection "
        "carries any number of channels.",
        waits="`reconnectAfterMs` of the Socket",
        token="`params` of the Socket may be a function, which is called for each connection",
        start="connect",
    ),
    "action-cable": _reconnecting_client(
        "createConsumer",
        "disconnect",
        "Call `createConsumer()` once, in one module, and let every component create its subscriptions on this "
        "consumer: one connection carries any number of them.",
        waits='a `disconnect` message of the server with `"reconnect":false`, which stops the client',
        token="createConsumer() takes a function that returns the URL, and calls it for each connection",
        variable="consumer",
    ),
    "signalr": _reconnecting_client(
        "new HubConnectionBuilder().withUrl",
        "stop",
        "Build and start one HubConnection in one module or provider, and let every component add its handlers with "
        "`connection.on()`: one connection carries all methods of a hub.",
        waits="the delays given to `withAutomaticReconnect()`",
        token="`accessTokenFactory` is called for each connection",
        variable="connection",
        build=".build()",
        start="start",
    ),
    "stomp": _reconnecting_client(
        "new Client",
        "deactivate",
        "Activate one STOMP client in one module or provider, and let every component subscribe on it: one connection "
        "carries any number of subscriptions.",
        waits="`reconnectDelay` and `maxReconnectDelay` of the client",
        token="set `connectHeaders` in `beforeConnect`, which runs before each connection",
        variable="client",
        arguments="{ brokerURL }",
        start="activate",
    ),
    "mqtt": _reconnecting_client(
        "mqtt.connect",
        "end",
        "Call `mqtt.connect()` once, in one module or provider, and let every component subscribe on this client: one "
        "connection carries any number of subscriptions.",
        waits="`reconnectPeriod` of mqtt.connect()",
        token="`transformWsUrl` is called for each connection, and may set `client.options.password`",
        variable="client",
    ),
}
"""Protocol id to the words of its usual clients. Other protocols on WebSocket have those of WebSocket."""

_SHARE_HOOK = (
    "Pass `{ share: true }` to useWebSocket in every component that uses this URL: they then share one connection. Or "
    "call the hook once, and hand its values down."
)

_OWN_CLIENTS = ("two-openers", "opened-per-action", "forced-new-connection", "io-in-render", "component-remounted")
_LEFT_CLIENTS = ("unmount-without-cleanup", "effect-without-cleanup")
"""Causes of connections for which one client of the whole page is the fix, and of those that a component leaves."""

_SUPABASE = (
    "Call `createClient()` once, in one module, and import this Supabase client everywhere: all of its channels share "
    "one connection"
)
_ONE_SUPABASE_CLIENT = {
    **dict.fromkeys(_OWN_CLIENTS, f"{_SUPABASE}."),
    **dict.fromkeys(
        _LEFT_CLIENTS,
        f"{_SUPABASE}. A component that leaves removes only its channel: `supabase.removeChannel(channel)`.",
    ),
}
_APOLLO = (
    "Create one ApolloClient with one GraphQLWsLink once, in one module, and hand it to every component with "
    "ApolloProvider: one connection carries any number of subscriptions"
)
_URQL = (
    "Create one urql Client with one graphql-ws client once, in one module, and hand it to every component with its "
    "Provider: one connection carries any number of subscriptions"
)
_ECHO = (
    "Create one Echo once, in one module, and let every component subscribe with it: one connection carries any number "
    "of channels"
)
_DISPOSE = "A client of a component stays connected until `dispose()` of its graphql-ws client is called."

_ONE_APOLLO_CLIENT = {
    **dict.fromkeys(_OWN_CLIENTS, f"{_APOLLO}."),
    **dict.fromkeys(_LEFT_CLIENTS, f"{_APOLLO}. {_DISPOSE}"),
}

LIBRARIES: dict[str, dict[str, str]] = {
    "react-use-websocket": {
        "two-openers": _SHARE_HOOK,
        "provider-mounted-twice": _SHARE_HOOK,
        "unmount-without-cleanup": _SHARE_HOOK,
        "effect-without-cleanup": _SHARE_HOOK,
        "reconnect-on-kick": "Let `shouldReconnect` return false for close codes with which the server closes on "
        "purpose, and give `reconnectInterval` a function that waits longer after each attempt.",
        "unstable-dependency": "Pass useWebSocket a URL that stays the same from render to render: a string, or a "
        "function from useCallback.",
    },
    "reconnecting-websocket": {
        "opened-on-disconnect": "Remove the constructor from the close handler: ReconnectingWebSocket reconnects by "
        "itself.",
        "reconnect-on-kick": "Call `close()` in the close handler for close codes with which the server closes on "
        "purpose: ReconnectingWebSocket connects again otherwise.",
    },
    "partysocket": {
        "two-openers": "Create one PartySocket per room in one module or provider, and share it: usePartySocket opens"
        " one in each component that calls it.",
        "opened-on-disconnect": "Remove the constructor from the close handler: PartySocket reconnects by itself.",
    },
    "@supabase/realtime-js": _ONE_SUPABASE_CLIENT,
    "@supabase/phoenix": _ONE_SUPABASE_CLIENT,
    "@apollo/client": _ONE_APOLLO_CLIENT,
    "@apollo/src": _ONE_APOLLO_CLIENT,  # its source maps lead one folder too far up
    "@urql/core": {**dict.fromkeys(_OWN_CLIENTS, f"{_URQL}."), **dict.fromkeys(_LEFT_CLIENTS, f"{_URQL}. {_DISPOSE}")},
    "laravel-echo": dict.fromkeys(
        _OWN_CLIENTS, f"{_ECHO}. A component that leaves ends its channel: `Echo.leave(name)`."
    ),
    "sse.js": {
        "opened-on-disconnect": "Pass `autoReconnect: true` to SSE, and remove the constructor from the handler.",
        "reconnect-on-kick": "Call `close()` in the error handler for the status codes with which the server refuses: "
        "`autoReconnect` connects again otherwise, without limit unless `maxRetries` is set.",
    },
    "@microsoft/fetch-event-source": {
        "unmount-without-cleanup": "Pass the `signal` of an AbortController to fetchEventSource, and call its "
        "`abort()` when the component leaves.",
        "effect-without-cleanup": "Pass the `signal` of an AbortController to fetchEventSource, and call its "
        "`abort()` in the cleanup of the effect.",
        "io-in-render": "Open it in an effect that closes it: useEffect(() => { const controller = new "
        "AbortController(); fetchEventSource(url, { signal: controller.signal }); return () => controller.abort(); }, "
        "[]).",
        "reconnect-on-kick": "Throw from `onclose` or `onerror` of fetchEventSource to stop: it connects again "
        "otherwise.",
    },
}
"""Package to cause id to fix, in the words of the package."""


class SubscriptionWords(msgspec.Struct, frozen=True):
    """Parts of fixes for subscriptions, in the words of the clients that a protocol usually has.

    share  sentence about sharing one subscription between several components, without a full stop
    end    code that ends a subscription
    """

    share: str
    end: str


_SUBSCRIPTION = SubscriptionWords(
    "Subscribe once, in one module or provider, and hand the events to every component that needs them",
    "`return () => subscription.unsubscribe()` in the effect",
)

SUBSCRIPTIONS: dict[str, SubscriptionWords] = {
    "graphql-ws": SubscriptionWords(
        "Subscribe once, in one parent component, provider or store, and hand the data to every component that needs "
        "it",
        "`client.subscribe()` returns a function that ends it, an Observable has `unsubscribe()`: call it in the "
        "cleanup of the effect; `useSubscription` does so by itself",
    ),
    "pusher": SubscriptionWords(
        "Subscribe once: `pusher.channel(name)` returns the channel that is there, and `bind` adds a handler to it",
        "`return () => pusher.unsubscribe(name)` in the effect; with Laravel Echo, `Echo.leave(name)`",
    ),
    "phoenix": SubscriptionWords(
        "Join each topic once, in one module or provider, and hand its events to every component that needs them; with "
        "Supabase, open one channel per topic and add all handlers to it",
        "`return () => channel.leave()` in the effect; with Supabase, `supabase.removeChannel(channel)`",
    ),
    "action-cable": SubscriptionWords(
        "Create one subscription for each channel and its parameters, in one module or provider, and hand what it "
        "receives to every component that needs it",
        "`return () => subscription.unsubscribe()` in the effect",
    ),
    "signalr": SubscriptionWords(
        "Start each stream once, in one module or provider, and hand its items to every component that needs them",
        "keep what `stream().subscribe()` returns, and `return () => subscription.dispose()` in the effect",
    ),
    "stomp": SubscriptionWords(
        "Subscribe to each destination once, in one module or provider, and hand its messages to every component that "
        "needs them",
        "`return () => subscription.unsubscribe()` in the effect",
    ),
    "mqtt": SubscriptionWords(
        "Subscribe to each topic on one client, in one module or provider, and hand its messages to every component "
        "that needs them",
        "`return () => client.unsubscribe(topic)` in the effect, unless another component needs the topic",
    ),
}
"""Protocol id to the words of its usual clients about subscriptions."""

SUBSCRIPTION_FIXES = frozenset({"two-subscribers", "subscription-without-end"})
"""Causes of subscriptions, whose fixes `subscription_fix` has."""


def subscription_fix(protocol: str | None, cause: str, place: CodeLocation | None) -> str:
    """Return the fix of a cause of duplicate or leaked subscriptions, in the words of the protocol's usual clients.

    `place` is the code location that subscribes.
    """
    words, where = SUBSCRIPTIONS.get(protocol or "", _SUBSCRIPTION), f" ({place})" if place is not None else ""
    if cause == "two-subscribers":
        return f"{words.share}{where}."
    return f"End the subscription when the component leaves{where}: {words.end}."


_PROTOCOL_BY_API = {
    Api.EVENT_SOURCE: "event-stream",
    Api.ECHO: "pusher",
    Api.GRAPHQL: "graphql-ws",
    Api.SUPABASE: "phoenix",
}
"""Interface to the id of its protocol, where the two names differ."""


def fix_for_client(opening: Connected, cause: str, fix: str) -> str:
    """Return the fix of a cause in the words of the client library that opened a connection.

    `fix` is the fix for Socket.IO. It is returned unchanged for a connection of Socket.IO.
    """
    if opening.protocol is None:
        return fix
    by_library = (LIBRARIES.get(each, {}).get(cause) for each in opening_libraries(opening.stack))
    return next(filter(None, by_library), None) or fix_for_protocol(opening.protocol, cause, fix)


def fix_for_opening(opening: OpeningCall, cause: str, fix: str) -> str:
    """Return the fix of a cause in the words of the library and constructor with which code opens a connection.

    `fix` is the fix for Socket.IO. It is returned unchanged if the code uses Socket.IO.
    """
    if opening.api is Api.SOCKET_IO:
        return fix
    by_library = LIBRARIES.get(opening.library, {}).get(cause)
    protocol = _PROTOCOL_BY_API.get(opening.api, opening.api.value)
    return by_library or fix_for_protocol(protocol, cause, fix, opening.constructor)


def fix_for_protocol(protocol: str, cause: str, fix: str, constructor: str = "") -> str:
    """Return the fix of a cause in the words of the protocol's usual clients.

    `constructor` is the class that the code uses, "" if unknown. If it is a class of a library, the fix does not show
    its arguments, because the first one may not be a URL.
    """
    words = PROTOCOLS.get(protocol, _WEBSOCKET)
    if constructor not in ("", "WebSocket", "EventSource"):
        usual = words.variable if words.constructor.startswith(f"new {constructor}") else "socket"
        variable = {"Echo": "echo"}.get(constructor, usual)
        words = msgspec.structs.replace(words, constructor=f"new {constructor}", arguments="...", variable=variable)
    return words.fixes.get(cause) or words.translate(fix)


def opening_library(stack: Sequence[CodeLocation]) -> str:
    """Return the package whose code opened a connection, by the innermost frame of `stack`.

    Return "" if the application's own code opened it.
    """
    return next(opening_libraries(stack), "")


def opening_libraries(stack: Sequence[CodeLocation]) -> Iterator[str]:
    """Yield the packages whose code opened a connection, from the innermost frame to that of the application.

    The outer ones use the inner one: Apollo Client uses graphql-ws.
    """
    for frame in stack:
        packages = _PACKAGE.findall(frame.file)
        if packages and packages[-1] in _IN_BUNDLE_NOT_LIBRARY:
            return
        if packages:
            yield str(packages[-1])
        elif not frame.file.startswith("<"):
            return
