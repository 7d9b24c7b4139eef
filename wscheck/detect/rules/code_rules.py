"""Rules about source code, which `wscheck scan` checks. They need no events."""

from wscheck.detect.rules.rule import RuleDoc
from wscheck.model.findings import Severity

_REACT_EFFECTS = "react.dev, Synchronizing with Effects"


class OpenedInRender(RuleDoc):
    """Rule: the body of a component or hook opens a connection."""

    id = "opened-in-render"
    title = "A component opens a connection while it renders"
    meaning = (
        "The body of a component or hook runs at every render, and so does an argument such as useRef(io()). Each run "
        "opens one more connection, and nothing closes the one before."
    )
    fix = (
        "Open it in an effect that closes it: useEffect(() => { const socket = io(url); "
        "return () => socket.disconnect(); }, [])."
    )
    source = "react.dev, Keeping Components Pure"


class OpeningNotClosed(RuleDoc):
    """Rule: a component opens a connection, and nothing in it closes the connection."""

    id = "opening-not-closed"
    title = "A component opens a connection and nothing closes it"
    meaning = (
        "The connection stays open when the component unmounts or the effect runs again, and the next run opens "
        "another one. React's StrictMode runs each effect and each state initialiser twice in development. Outside of "
        "an effect it is a warning: the component may be one that never leaves the page."
    )
    fix = "Close it in the cleanup of the effect: return () => socket.disconnect()."
    source = _REACT_EFFECTS


class OpenedInSeveralPlaces(RuleDoc):
    """Rule: several functions open connections to the same URL."""

    id = "opened-in-several-places"
    severity = Severity.WARNING
    title = "Several places open a connection to the same URL"
    meaning = (
        "If two of the components that use these places are mounted at the same time, the page has two connections. "
        "It is an error if one component uses both places, because then it always has two. A hook, a provider or a "
        "function that returns its connection opens one for each component that uses it."
    )
    fix = "Open the connection in one module or provider, count the components that use it, and share it."
    source = 'origin document (`wscheck docs origin`), "Root cause": two separate hooks connect to the same backend'


class OpenedOnDisconnect(RuleDoc):
    """Rule: a disconnect handler opens a new Socket.IO connection."""

    id = "opened-on-disconnect"
    severity = Severity.WARNING
    title = "A disconnect handler opens another connection"
    meaning = (
        "The Socket.IO client reconnects by itself, so each disconnect adds a connection: the old socket returns and "
        "the new one opens."
    )
    fix = "Remove the call: the client reconnects by itself. After `io server disconnect`, call socket.connect()."
    source = "socket.io documentation, Client: the disconnect event"


class ReopenedAfterCleanup(RuleDoc):
    """Rule: the close handler of a WebSocket connects again after a cleanup closed it."""

    id = "reopened-after-cleanup"
    title = "A close handler opens another connection after the component has closed its own"
    meaning = (
        "A close handler also runs when the code itself closes the WebSocket. The component leaves, or its effect runs "
        "again, and the handler opens a connection that nothing closes."
    )
    fix = (
        "Remove the handler before you close: return () => { clearTimeout(timer); socket.onclose = null; "
        "socket.close(); }."
    )
    source = "HTML standard, WebSockets: the close event is fired after close() too"


class OpenedOnServer(RuleDoc):
    """Rule: code that a framework runs in the web server opens a connection."""

    id = "opened-on-server"
    severity = Severity.WARNING
    title = "A server-rendered page opens a connection in the web server too"
    meaning = (
        "Next.js, Nuxt and SvelteKit run modules, component bodies and set-up code in the server as well, also of "
        'components with "use client". A module opens one connection per server process; a component or composable '
        "opens one per request, which nothing closes: that is an error."
    )
    fix = (
        "Open it where only the browser runs code: in an effect (useEffect, onMounted, onMount), in a plugin with "
        '.client in its name, or after if (typeof window !== "undefined").'
    )
    source = "socket.io documentation, How to use with Next.js and Nuxt; react.dev, useEffect: only on the client"


class ListenerAddedInRender(RuleDoc):
    """Rule: the body of a component or hook registers a listener."""

    id = "listener-added-in-render"
    title = "A component adds a listener each time it renders"
    meaning = (
        "The body of a component or hook runs at every render, and each run adds the listener again, so one event is "
        "handled once per render so far."
    )
    fix = (
        "Add it in an effect that removes it: useEffect(() => { socket.on(event, listener); "
        "return () => { socket.off(event, listener); }; }, [])."
    )
    source = "react.dev, Keeping Components Pure; socket.io documentation, How to use with React: cleanup"


class ListenerNotRemoved(RuleDoc):
    """Rule: an effect registers a listener on a shared socket and never removes it."""

    id = "listener-not-removed"
    title = "An effect adds a listener to a shared socket and never removes it"
    meaning = "Each run of the effect adds the listener again, so each event is handled once more per mount."
    fix = "Remove it in the cleanup of the effect: return () => socket.off(event, listener)."
    source = "socket.io documentation, How to use with React: cleanup"


CODE_RULES: dict[str, type[RuleDoc]] = {
    rule.id: rule
    for rule in (
        *(OpenedInRender, OpeningNotClosed, OpenedInSeveralPlaces, OpenedOnDisconnect, ReopenedAfterCleanup),
        *(OpenedOnServer, ListenerAddedInRender, ListenerNotRemoved),
    )
}
"""Every rule about source code by its public id."""
