"""Prometheus metrics and /healthz, served while logs are followed. No label contains a socket id or a user."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import accumulate
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as PrometheusFamily
from prometheus_client.utils import floatToGoString

from wscheck.model.errors import UsageError, failure_reason
from wscheck.notify.figures import COUNTER, DURATIONS_S, HISTOGRAM, METRICS, Figures, Metric

MAX_CLIENTS, CLIENT_S = 20, 10.0
"""Largest number of connections to the server, and the seconds after which it ends one."""


class PrometheusMetrics:
    """The figures of logs that are followed, as Prometheus metrics (docs/metrics.md describes each), and their health.

    It is a collector of prometheus-client: each scrape reads the current figures.
    """

    def __init__(self, figures: Figures) -> None:
        self.registry = CollectorRegistry()
        self._figures = figures
        self.registry.register(self)

    def collect(self) -> Iterator[PrometheusFamily]:
        """Yield each metric with its series."""
        for metric in METRICS:
            if metric.kind == HISTOGRAM:
                yield self._histogram(metric)
                continue
            kind = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in self._figures.values(metric):
                family.add_metric(labels, value)
            yield family

    def _histogram(self, metric: Metric) -> PrometheusFamily:
        """Return the histogram of the durations. The count of a bucket includes all shorter durations."""
        counts = accumulate(self._figures.bucket_counts)
        limits = (*map(floatToGoString, DURATIONS_S), "+Inf")
        buckets = list(zip(limits, counts, strict=True))
        return HistogramMetricFamily(metric.name, metric.help, buckets, self._figures.duration_sum)

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
        if self._figures.healthy:
            return "200 OK", b"ok\n"
        return "503 Service Unavailable", b"the log reader has stalled\n"


class _Server(ThreadingMixIn, WSGIServer):
    """HTTP server that limits the time of each connection: clients that never send or never read cannot block it."""

    daemon_threads = True
    request_queue_size = 64  # with the default of 5, a burst of clients delays the next one by seconds

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._clients: dict[Any, float] = {}
        super().__init__(*arguments, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for the new connection. If too many connections are open, close the oldest one first."""
        if len(self._clients) >= MAX_CLIENTS:
            self._end(next(iter(list(self._clients)), None))
        self._clients[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Close the connections that have been open for too long. The server calls this twice a second."""
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
