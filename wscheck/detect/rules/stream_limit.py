"""Rule: streams of server-sent events use up the connections that a browser opens to one host."""

from collections import Counter
from collections.abc import Mapping

from wscheck.detect.connection_policy import ServerEndpoint
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Connected, Disconnected
from wscheck.model.findings import Severity

MAX_PER_HOST = 6
"""Connections that browsers open to one host over HTTP/1.1, over all tabs."""

NEAR_LIMIT, MANY_PER_PAGE = 4, 3
"""Streams to one host, in all tabs and in one page, from which on few further tabs can load."""


class StreamLimit(Rule):
    """Rule: a browser has too many streams to one host over HTTP/1.1.

    Each stream occupies one of the few connections that a browser opens to a host, until the stream ends. With HTTP/2
    and HTTP/3, all requests share one connection.
    """

    id = "stream-limit"
    severity = Severity.ERROR
    title = "Streams of server-sent events use up the browser's connections to a host"
    meaning = (
        "Over HTTP/1.1, a browser opens six connections to one host, over all tabs. Each stream of server-sent events "
        "keeps one of them. With six streams, every further request to the host waits, and another tab does not load."
    )
    fix = (
        "Serve the streams over HTTP/2; or open one stream per page and send all events on it; or share one between "
        "the tabs (SharedWorker, BroadcastChannel)."
    )
    source = "HTML Standard, Server-sent events, Authoring notes: connection limits; RFC 9112, section 9.4"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._open: dict[str | None, Connected] = {}
        return {Connected: self._connected, Disconnected: self._disconnected}

    def _connected(self, event: Connected) -> None:
        if event.transport != "event-stream" or not (event.http or "").startswith("http/1"):
            return
        self._open[event.sid] = event
        origin = _origin(event)
        here = [one for one in self._open.values() if _origin(one) == origin]
        page, in_page = Counter(one.page for one in here).most_common(1)[0]
        if len(here) >= MAX_PER_HOST:
            message = f"{len(here)} streams to {origin} are open at once over HTTP/1.1, and a browser opens only "
            message += f"{MAX_PER_HOST} connections to a host: every further request waits"
            self.report(event.user, message, event.at, *here, key=origin)
        elif in_page >= MANY_PER_PAGE or len(here) >= NEAR_LIMIT:
            where = f"{page} has {in_page}" if in_page >= MANY_PER_PAGE else f"{len(here)} tabs or frames have"
            message = (
                f"{where} streams to {origin} at once over HTTP/1.1: few further tabs can load, because a browser "
            )
            message += f"opens only {MAX_PER_HOST} connections to a host"
            self.report(event.user, message, event.at, *here, key=origin, severity=Severity.WARNING)

    def _disconnected(self, event: Disconnected) -> None:
        self._open.pop(event.sid, None)


def _origin(event: Connected) -> str:
    endpoint = ServerEndpoint.from_url(event.url or "")
    return f"{endpoint.host}:{endpoint.port}" if endpoint.port else endpoint.host
