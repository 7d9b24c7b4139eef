"""Every cause that evidence can point to: what it is, how it shows, and the accepted fix. Ids are public."""

import msgspec


class CauseDoc(msgspec.Struct, frozen=True):
    """One cause. `shows` is its signature; `settle_by` the evidence that makes it certain; `benign` ones pass."""

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
            "Open it in one module or provider (useUnifiedWebSocket), count its users, and share it.",
            CONFIRM_IN_BROWSER,
        ),
        CauseDoc(
            "reconnect-on-kick",
            "the client reconnects whenever the server replaced it",
            "replacements at a constant interval: the reconnect delay; each connection lives for one interval",
            "Keep one connection; do not reconnect when replaced (`io server disconnect`); back off otherwise.",
            CONFIRM_IN_BROWSER,
        ),
        CauseDoc(
            "transport-closed",
            "the server closes the old transport instead of the namespace",
            "no DISCONNECT packet; the client sees `transport close`, the server logs `forced close`",
            "Replace with `socket.disconnect()`, not `socket.conn.close()`: a stock client then stays down.",
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
            "Move io() to an effect, a state initialiser or a module.",
        ),
        CauseDoc(
            "unstable-dependency",
            "an effect depends on an object that is new on every render",
            "the client itself disconnects and reconnects within milliseconds, in step with some event",
            "Depend on primitive values (user.id rather than user).",
        ),
        CauseDoc(
            "hot-reload",
            "hot reload runs a module-level io() again",
            "one more live connection with every save; none closes",
            "Keep the socket on globalThis, or disconnect it in the hot-reload dispose hook.",
        ),
        CauseDoc(
            "unmount-without-cleanup",
            "a component leaves and its connection stays",
            "one more live connection with every navigation, always from the same location",
            "Disconnect when the component leaves (its effect's cleanup), or share one reference-counted connection.",
        ),
        CauseDoc(
            "forced-new-connection",
            "a connection of its own is forced: forceNew, multiplex: false, or another URL",
            "two sessions of one page whose URLs or options differ",
            "Drop forceNew; pass what varies in auth; keep the URL in one constant.",
        ),
        CauseDoc(
            "several-tabs",
            "several tabs or devices of one user",
            "one user, connections of different pages",
            "Room per user on the server, or one connection shared by the tabs (SharedWorker, leader election).",
        ),
        CauseDoc(
            "token-refresh",
            "a new connection for a new token, while the old one stays",
            "two live connections of one page with different tokens",
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
            "somebody's off(event) removed everybody's handlers",
            "the event arrives and no handler runs",
            "Pass the handler: `socket.off(event, handler)`.",
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
            "a websocket that is not Socket.IO (hot reload, live reload)",
            "no EIO= in its URL",
            "None needed.",
            benign=True,
        ),
        CauseDoc(
            "map-per-process",
            "each server process keeps its own map of users",
            "two nodes hold a connection of one user and neither replaces it; or a server that replaces keeps some",
            "Room per user with an adapter: `io.in(`user:${id}`).except(socket.id).disconnectSockets()` reaches every "
            "node; without `except` it may end the new one as well.",
            "each process's log by itself: which of them has which connection, and does it still run?",
        ),
        CauseDoc(
            "newcomer-ended",
            "the server ends the new connection along with the old one",
            "the user's last connection ends with `io server disconnect`, and no newer one is there",
            "Spare the new socket: `io.in(room).except(socket.id).disconnectSockets()`, for with an adapter the "
            "request comes back when it has joined the room. Two that come at once to two processes must not end each "
            "other: let the later one stay, by a time that both know.",
            "the server's connection handler: what does it disconnect?",
        ),
        CauseDoc(
            "no-sticky-session",
            "requests of one session reach different processes",
            "HTTP 400 `Session ID unknown`, then fresh handshakes",
            "Sticky sessions at the load balancer, or websocket only.",
        ),
        CauseDoc(
            "lookup-race",
            "the server looks the user up, waits, and only then stores the new socket",
            "two connections within the waiting time, neither replaced, both live",
            "Store the new socket before the first await, and check again after it.",
            "the server's connection handler: is there an await between reading and writing its map? Does one process "
            "serve all, or has each a map of its own? And are they two connections, or two namespaces of one (`nsp`)?",
        ),
        CauseDoc(
            "zombie",
            "the old connection is dead and the server does not know yet",
            "the old connection ends with `ping timeout` after the new one began",
            "Replace the old one (do not reject the new); shorten pingInterval and pingTimeout.",
        ),
        CauseDoc(
            "two-bundles",
            "two copies of socket.io-client in the bundle",
            "the client library's own frames come from two scripts",
            "Deduplicate the dependency (npm dedupe, one alias in the bundler).",
        ),
    )
}
