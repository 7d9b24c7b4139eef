"""Catalogue of causes: id, name, signature and fix of each cause, and fixes per framework. The ids are public."""

import msgspec


class CauseDoc(msgspec.Struct, frozen=True):
    """One cause, as docs/causes.md documents it.

    shows      the evidence by which the cause is recognised, in words
    settle_by  the evidence that would make the cause certain, "" if no further evidence can
    benign     the cause looks like a second connection, but is normal and needs no fix
    """

    id: str
    name: str
    shows: str
    fix: str
    settle_by: str = ""
    benign: bool = False


CONFIRM_IN_BROWSER = "`wscheck browser URL` names the file and line that opened each connection"

CATALOGUE: dict[str, CauseDoc] = {
    doc.id: doc
    for doc in (
        CauseDoc(
            "two-openers",
            "two components each open a connection",
            "one page, one user, two connections opened by different components",
            "Open the connection in one module or provider, count the components that use it, and share it.",
            CONFIRM_IN_BROWSER,
        ),
        CauseDoc(
            "provider-mounted-twice",
            "one provider is mounted twice, and each opens a connection",
            "two mounted components run the effect of one provider, for example in the layout and in a page",
            "Mount the provider once, above all components that need it, and remove the inner one.",
        ),
        CauseDoc(
            "micro-frontends",
            "two bundles of one page each open a connection",
            "two scripts, each with a copy of the client library, opened one connection each in different places",
            "Let one application open the connection and share it: `globalThis.appSocket ??= io(url)`, or hand the "
            "socket to the other. One copy of the library alone leaves two connections.",
        ),
        CauseDoc(
            "module-in-two-bundles",
            "one module is in two bundles of the page and runs in each",
            "the same line of one source file opened a connection in two scripts with a client library each",
            "Build both entries together with a shared chunk, so that the page evaluates the module once; or keep one "
            "instance: `globalThis.appSocket ??= io(url)`.",
        ),
        CauseDoc(
            "script-ran-twice",
            "the page ran the same script twice",
            "the browser evaluated one script again in the same document: included twice, or run again by Turbo",
            "Include the script once; if the page runs it again, keep the socket: `globalThis.appSocket ??= io(url)`.",
        ),
        CauseDoc(
            "frame-and-parent",
            "a page and its own frame each open a connection",
            "one connection belongs to the page, one to an iframe in it",
            "Open it in the page only: `if (window === window.top)`. The frame uses the socket of `window.parent` "
            "(same origin), or gets the events by `postMessage`.",
        ),
        CauseDoc(
            "page-and-worker",
            "a page and its own worker each open a connection",
            "one connection belongs to the page, one to a dedicated, shared or service worker of it",
            "Let the worker keep the connection and pass the events to the page (`postMessage`, BroadcastChannel), or "
            "connect in the page only.",
        ),
        CauseDoc(
            "strict-mode-initialiser",
            "StrictMode runs a state initialiser twice, and one of the two connections is never used",
            "two calls from one render of a component, whose source connects in useState, useMemo or a ref",
            "Open it in an effect that closes it, or once in a module outside of the components.",
            "a production build, where StrictMode runs nothing twice",
        ),
        CauseDoc(
            "discarded-render",
            "React discards a render that suspends, and its connection belongs to nobody",
            "several calls of one state initialiser, whose component closes its connection in an effect",
            "Open it in an effect that closes it, or once in a module outside of the components.",
            "does the component wait for data with `use`, Suspense or a lazy import before it is mounted?",
        ),
        CauseDoc(
            "opened-after-cleanup",
            "an effect waits, and opens the connection after its cleanup has run",
            "the source has an await or a callback before io(), and the cleanup finds nothing to close yet",
            "Set a flag in the cleanup, and check it after the wait: `if (cancelled) return;` before io().",
        ),
        CauseDoc(
            "guard-before-await",
            "two calls check for a connection, wait, and each opens one",
            "the source checks for an earlier connection in front of an await, and opens and stores one after it",
            "Keep the promise of the first call, and return it to the later ones: `pending ??= open()`.",
        ),
        CauseDoc(
            "opened-on-disconnect",
            "a disconnect handler opens another connection beside the client's own reconnection",
            "the source opens the connection in a handler of `disconnect`, `close` or `connect_error`",
            "Remove io() from the disconnect handler: the client reconnects by itself. After `io server disconnect`, "
            "call `socket.connect()` on the same socket.",
        ),
        CauseDoc(
            "reconnection-not-cancelled",
            "the client reconnects although the code has closed or replaced it",
            "the client library connected again by itself, beside a connection that the code opened in its place",
            "End the reconnection together with the client: a flag that its close handler checks, and no timer that "
            "goes on; or update the library that reconnects.",
        ),
        CauseDoc(
            "reopened-without-closing",
            "code opens a connection again without closing the earlier one",
            "one function, listener or action opened several, outside of the life of a component",
            "Reuse the connection that is there, or close it before another opens: `socket?.disconnect()`.",
        ),
        CauseDoc(
            "opened-per-action",
            "code opens a connection for each action, and closes it again",
            "the client closes and opens from one listener, timer or function, outside of the life of a component",
            "Open one connection, keep it, and reuse it: send each request as an event.",
        ),
        CauseDoc(
            "token-in-dependencies",
            "an effect depends on a token, and reconnects with each refresh",
            "the client closes and opens from one effect; the dependencies contain the token, and it changes each time",
            "Leave the token out of the dependencies, and pass it as a function: `auth: (send) => send({ token })`.",
        ),
        CauseDoc(
            "component-remounted",
            "a component that owns the connection is mounted again and again",
            "the client closes and opens from one effect without dependencies",
            "Keep the component mounted: give it a constant key, and define it outside of the component that renders "
            "it; or open the connection above it.",
        ),
        CauseDoc(
            "reconnect-on-kick",
            "the client reconnects whenever the server replaces it",
            "replacements at a constant interval: the reconnect delay; each connection lives for one interval",
            "Keep one connection; do not reconnect when replaced (`io server disconnect`); back off otherwise.",
            CONFIRM_IN_BROWSER,
        ),
        CauseDoc(
            "transport-closed",
            "the server closes the old transport instead of the namespace",
            "no DISCONNECT packet; the client sees `transport close`, the server logs `forced close`",
            "Replace with `socket.disconnect()`, not `socket.conn.close()`: a standard client then stays disconnected.",
        ),
        CauseDoc(
            "effect-without-cleanup",
            "an effect opens a connection and never closes it (StrictMode runs it twice)",
            "the same code location opens two connections within milliseconds, and both stay",
            "`return () => socket.disconnect()` in the effect, or a module-level socket.",
            "a production build, where StrictMode does not run effects twice",
        ),
        CauseDoc(
            "strict-mode-cleaned-up",
            "StrictMode with cleanup",
            "the first websocket closes before its CONNECT",
            "None needed.",
            benign=True,
        ),
        CauseDoc(
            "io-in-render",
            "the connection is opened while rendering",
            "the same location opens one more with every render; no effect in the stack",
            "Move io() to an effect that closes it, or to a module.",
        ),
        CauseDoc(
            "unstable-dependency",
            "an effect depends on an object that is new on every render",
            "the client closes and opens from one effect, whose dependencies contain an object or are missing",
            "Depend on primitive values (user.id rather than user).",
        ),
        CauseDoc(
            "hot-reload",
            "hot reload runs a module-level io() again",
            "one more open connection with every save; none closes",
            "Keep the socket on globalThis, or disconnect it in the hot-reload dispose hook.",
        ),
        CauseDoc(
            "unmount-without-cleanup",
            "a component leaves and its connection stays open",
            "one more open connection with every navigation, always from the same location",
            "Disconnect when the component leaves (its effect's cleanup), or share one reference-counted connection.",
        ),
        CauseDoc(
            "forced-new-connection",
            "a separate connection is forced by forceNew, multiplex: false or another URL",
            "two sessions of one page whose URLs or options differ",
            "Remove forceNew; pass values that vary in auth; keep the URL in one constant.",
        ),
        CauseDoc(
            "several-tabs",
            "several tabs or devices of one user",
            "one user, connections of different pages",
            "Use a room per user on the server, or one connection shared by the tabs (SharedWorker, leader election).",
        ),
        CauseDoc(
            "session-inherited",
            "two tabs have one session id and replace each other",
            "two tabs send the same value of their session storage, and the server keeps one connection for it",
            "Give each page load an id of its own (`crypto.randomUUID()` in a variable): a browser copies the session "
            "storage to a duplicated tab and to a window that the page opens. Do not reconnect when replaced.",
        ),
        CauseDoc(
            "client-id-reused",
            "two clients connect with one client id and take the session from each other",
            "two connections with the same client id; the broker ended the older when the newer one opened",
            "Leave `clientId` out of the options of mqtt.connect(), which then chooses one for each client; or make it "
            "different in each tab and component. To have one client only, connect in one module and share it.",
        ),
        CauseDoc(
            "token-refresh",
            "a new connection opens for a new token while the old one stays open",
            "two open connections of one page with different tokens",
            "Set `socket.auth` and call `socket.disconnect().connect()` on the one socket.",
        ),
        CauseDoc(
            "handler-in-connect",
            "handlers are registered inside the connect handler",
            "one connection; handlers per event grow with every reconnection",
            "Register handlers once, outside the connect handler.",
        ),
        CauseDoc(
            "handler-without-off",
            "an effect registers a handler and never removes it",
            "one connection; several handlers from the same code location",
            "`return () => socket.off(event, handler)` in the effect.",
        ),
        CauseDoc(
            "off-without-handler",
            "a call of off(event) removed the handlers of every component",
            "the event arrives and no handler runs",
            "Pass the handler: `socket.off(event, handler)`.",
        ),
        CauseDoc(
            "two-subscribers",
            "two places of a page each start the same subscription",
            "one connection; two open subscriptions to one topic, channel or query, from different places",
            "Subscribe once, in one module or provider, and hand the events to every component that needs them.",
        ),
        CauseDoc(
            "subscription-without-end",
            "code subscribes and never ends the subscription",
            "one more open subscription with every visit of a view; or an effect that subscribes and has no cleanup",
            "End the subscription when the component leaves: `return () => subscription.unsubscribe()`.",
        ),
        CauseDoc(
            "upgrade",
            "a polling session and its upgrade",
            "the websocket's URL carries the polling session's sid",
            "None needed: count sessions, not requests.",
            benign=True,
        ),
        CauseDoc(
            "foreign-websocket",
            "a connection of a development server (hot reload, live reload)",
            "its subprotocol, its path or its first messages are those of the tool",
            "None needed.",
            benign=True,
        ),
        CauseDoc(
            "map-per-process",
            "each server process keeps its own map of users",
            "two processes have a connection of one user and neither replaces it; or a server that replaces keeps some",
            "Use a room per user with an adapter: `io.in(`user:${id}`).except(socket.id).disconnectSockets()` reaches "
            "every process; without `except` it may end the new one as well.",
            "the log of each process by itself: which process has which connection, and does it still run?",
        ),
        CauseDoc(
            "newcomer-ended",
            "the server ends the new connection along with the old one",
            "the user's last connection ends with `io server disconnect`, and no newer one is there",
            "Exclude the new socket: `io.in(room).except(socket.id).disconnectSockets()`. With an adapter, the request "
            "also returns to the process that sent it, when the new socket has joined the room. Two connections that "
            "open at once on two processes must not end each other: let the later one stay, by a time that both know.",
            "the server's connection handler: which sockets does it disconnect?",
        ),
        CauseDoc(
            "no-sticky-session",
            "requests of one session reach different processes",
            "HTTP 400 `Session ID unknown`, then fresh handshakes",
            "Use sticky sessions at the load balancer, or the websocket transport only.",
        ),
        CauseDoc(
            "lookup-race",
            "the server looks the user up, waits, and only then stores the new socket",
            "two connections within the waiting time; both stay open and neither is replaced",
            "Store the new socket before the first await, and check again after it.",
            "the server's connection handler: is there an await between reading and writing its map? Does one process "
            "serve all users, or has each process its own map? Are these two connections, or two namespaces of one "
            "(`nsp`)?",
        ),
        CauseDoc(
            "zombie",
            "the old connection is dead and the server has not noticed yet",
            "the old connection ends with `ping timeout` after the new one began",
            "Replace the old one (do not refuse the new one); shorten pingInterval and pingTimeout.",
        ),
        CauseDoc(
            "two-bundles",
            "two copies of socket.io-client in the bundle",
            "the client library's own frames come from two scripts or packages, and the namespaces differ",
            "Deduplicate the dependency (npm dedupe, one alias in the bundler).",
        ),
    )
}

FRAMEWORK_FIXES: dict[str, dict[str, str]] = {
    "vue": {
        "two-openers": (
            "Open the connection in one module, composable or Pinia store, "
            "count the components that use it, and share it."
        ),
        "io-in-render": "Move io() out of the template and of computed values: to onMounted, a store or a module.",
        "unstable-dependency": "Watch a primitive value (`() => user.id`), and read no other reactive value with io().",
        "hot-reload": "Disconnect in onUnmounted; in a module: `import.meta.hot?.dispose(() => socket.disconnect())`.",
        "unmount-without-cleanup": "Disconnect in onUnmounted (a kept-alive component in onDeactivated, a watcher in "
        "onWatcherCleanup), or share one reference-counted connection.",
        "handler-without-off": "`onUnmounted(() => socket.off(event, handler))`.",
    },
    "svelte": {
        "two-openers": (
            "Open the connection in one module (.svelte.js) or store, count the components that use it, and share it."
        ),
        "io-in-render": "Move io() out of the template and of $derived: to onMount or a module.",
        "unstable-dependency": "Let the $effect read primitive values (user.id, not user), and `untrack` the rest.",
        "hot-reload": "Disconnect in onDestroy; in a module: `import.meta.hot?.dispose(() => socket.disconnect())`.",
        "unmount-without-cleanup": "Return `() => socket.disconnect()` from onMount or $effect, or call it in "
        "onDestroy; or share one reference-counted connection.",
        "handler-without-off": "Return `() => socket.off(event, handler)` from onMount or $effect.",
    },
    "solid": {
        "two-openers": (
            "Open the connection in one module or context provider, count the components that use it, and share it."
        ),
        "io-in-render": "Move io() out of the JSX: to onMount, a context provider or a module.",
        "unstable-dependency": "Let the effect read primitive signals (a memo of the id), and `untrack` the rest.",
        "hot-reload": "Disconnect in onCleanup; in a module: `import.meta.hot?.dispose(() => socket.disconnect())`.",
        "unmount-without-cleanup": "`onCleanup(() => socket.disconnect())`, or share one reference-counted connection.",
        "handler-without-off": "`onCleanup(() => socket.off(event, handler))`.",
    },
    "angular": {
        "two-openers": "Open the connection in one service with `providedIn: 'root'` that no component provides again.",
        "io-in-render": "Move io() out of the template and the code that it calls: to ngOnInit or a root service.",
        "unstable-dependency": "Let the effect read primitive signals (a computed id), and `untracked` the rest.",
        "hot-reload": "Open it in a root service and disconnect in its ngOnDestroy.",
        "unmount-without-cleanup": "Disconnect in ngOnDestroy or DestroyRef.onDestroy (an effect in onCleanup), or "
        "inject one service of the root.",
        "handler-without-off": "`socket.off(event, handler)` in ngOnDestroy or DestroyRef.onDestroy.",
    },
}
"""Framework name to cause id to fix, in the framework's own terms (docs/causes.md).

For other pairs, the fix of the catalogue applies. Its terms are React's.
"""
