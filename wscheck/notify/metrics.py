"""Prometheus metrics and /healthz, served while logs are followed. No label contains a socket id or a user."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, make_wsgi_app

from wscheck.detect.changes import ClosedChange, LedgerChange, ReplacedChange
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.detect.rules import DOCUMENTED
from wscheck.model.disconnect_reasons import SERVER_SPELLINGS
from wscheck.model.errors import UsageError, failure_reason
from wscheck.model.events import Connected, Event, Replaced
from wscheck.notify.listener import WatchView

STALLED_S = 10.0
MAX_CLIENTS, CLIENT_S = 20, 10.0
"""Largest number of connections to the server, and the seconds after which it ends one."""

DURATIONS_S = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)


class DeliveryCounts(Protocol):
    """Numbers of messages that reached a receiver, and that were dropped."""

    delivered: int
    dropped: int


class PrometheusMetrics:
    """Prometheus metrics of logs that are followed (docs/metrics.md describes each)."""

    def __init__(self, watch: WatchView, deliveries: Sequence[DeliveryCounts] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._watch, self._polled_at = watch, time.monotonic()
        # These two metrics are computed at each scrape; all others are counted when something happens.
        self._gauge("wscheck_connections", "Connections open now.", lambda: watch.connection_count)
        self._gauge("wscheck_users_over_one", "Users with more than one connection.", lambda: len(watch.users_over_one))
        self._connects = self._counter("wscheck_connects_total", "Connections opened.")
        self._disconnects = self._counter("wscheck_disconnects_total", "Connections that ended.", ["reason"])
        self._replaced = self._counter("wscheck_replaced_sockets_total", "Sockets the server replaced.")
        self._findings = self._counter("wscheck_findings_total", "Incidents opened.", ["rule", "severity"])
        self._open = Gauge("wscheck_open_incidents", "Incidents open now.", ["rule"], registry=self.registry)
        self._lines = self._counter("wscheck_log_lines_total", "Log lines read.")
        self._bytes = self._counter("wscheck_log_bytes_total", "Log bytes read.")
        self._unreadable = self._counter("wscheck_unreadable_total", "Lines that look like events and cannot be read.")
        self._notifications = self._counter(
            "wscheck_notifications_total", "Messages to a webhook or a program.", ["result"]
        )
        self._deliveries = deliveries
        self._durations = Histogram(
            "wscheck_connection_duration_seconds",
            "Duration of connections whose start was read.",
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        self._counted = {"lines": 0, "bytes": 0, "unreadable": 0, "delivered": 0, "dropped": 0}
        self._create_series()

    def _create_series(self) -> None:
        """Create the time series of each rule with the value 0, so that Prometheus sees the first increase too."""
        for rule in DOCUMENTED:
            self._open.labels(rule.id)
            self._findings.labels(rule.id, str(rule.severity))
        for result in ("delivered", "dropped"):
            self._notifications.labels(result)

    def _gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        Gauge(name, help, registry=self.registry).set_function(value)

    def _counter(self, name: str, help: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, help, list(labels), registry=self.registry)

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Count the event and the connections that it started and ended."""
        if isinstance(event, Connected):
            self._connects.inc()
        elif isinstance(event, Replaced):
            self._replaced.inc()
        for change in changes:
            if isinstance(change, ClosedChange):
                self._disconnects.labels(change.reason if change.reason in SERVER_SPELLINGS else "other").inc()
                self._observe_duration(None if change.replaced else change.opening, change.event.at)
            elif isinstance(change, ReplacedChange):
                self._observe_duration(change.old, change.event.at)

    def _observe_duration(self, opening: Connected | None, ended_at: float | None) -> None:
        opened_at = opening.at if opening is not None else None
        if opened_at is not None and ended_at is not None:
            self._durations.observe(max(0.0, ended_at - opened_at))

    def on_incident(self, incident: Incident) -> None:
        """Count an incident that opened or was resolved."""
        if incident.state is IncidentState.OPENED:
            self._findings.labels(incident.rule, str(incident.severity)).inc()
            self._open.labels(incident.rule).inc()
        elif incident.state is IncidentState.RESOLVED:
            self._open.labels(incident.rule).dec()

    def on_poll_end(self, now: float | None) -> bool:
        """Update the counters of the logs and the time of the last poll."""
        self._polled_at = time.monotonic()
        for counter, name in ((self._lines, "lines"), (self._bytes, "bytes"), (self._unreadable, "unreadable")):
            total = getattr(self._watch, name)
            counter.inc(total - self._counted[name])
            self._counted[name] = total
        for result in ("delivered", "dropped"):
            total = sum(getattr(delivery, result) for delivery in self._deliveries)
            self._notifications.labels(result).inc(total - self._counted[result])
            self._counted[result] = total
        return False

    @property
    def healthy(self) -> bool:
        """True if the logs were polled recently. While the loop runs, it polls at least once a second."""
        return time.monotonic() - self._polled_at < STALLED_S

    def application(self) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
        """Return the WSGI application with /metrics and /healthz."""
        metrics = make_wsgi_app(self.registry)

        def serve(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "/")
            if path == "/metrics":
                served: Iterable[bytes] = metrics(environ, start)
                return served
            status, body = self._respond(path)
            start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
            return [body]

        return serve

    def _respond(self, path: str) -> tuple[str, bytes]:
        if path != "/healthz":
            return "404 Not Found", b"wscheck serves /metrics and /healthz\n"
        if self.healthy:
            return "200 OK", b"ok\n"
        return "503 Service Unavailable", b"the log reader has stalled\n"


class _Server(ThreadingMixIn, WSGIServer):
    """A server that ends each connection in time: clients that never send or never read cannot occupy it."""

    daemon_threads = True
    request_queue_size = 64  # with the default of 5, a burst of clients delays the next one by seconds

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._clients: dict[Any, float] = {}
        super().__init__(*arguments, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the connection. With too many connections, the oldest one ends."""
        if len(self._clients) >= MAX_CLIENTS:
            self._end(next(iter(list(self._clients)), None))
        self._clients[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End the connections that are open for too long. Called twice a second."""
        now = time.monotonic()
        for client, since in list(self._clients.items()):
            if now - since > CLIENT_S:
                self._end(client)

    def _end(self, client: Any) -> None:
        self._clients.pop(client, None)
        with suppress(OSError, AttributeError):
            client.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        self._clients.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: a client that went away is not an error."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: stderr is for messages about the logs."""


def serve(metrics: PrometheusMetrics, address: str) -> WSGIServer:
    """Serve on `address` (HOST:PORT, :PORT or PORT; loopback by default) in a thread and return the server.

    The caller ends it with `shutdown()` and `server_close()`. `server_port` is the real port if PORT is 0.
    Raises UsageError.
    """
    named, _, port = address.rpartition(":")
    host = named.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65_535:
        raise UsageError(
            f"`watch.metrics` {address}: {port!r} is not a port.", "Write HOST:PORT, as in 127.0.0.1:9464."
        )
    kind = _Server6 if ":" in host else _Server
    try:
        server = make_server(host, int(port), metrics.application(), kind, handler_class=_Silent)
    except (OSError, ValueError) as error:
        reason = failure_reason(error, "it is no address")
        raise UsageError(f"`watch.metrics` {address}: {reason}.", "Write HOST:PORT with a free port.") from None
    threading.Thread(target=server.serve_forever, daemon=True, name="metrics").start()
    return server
