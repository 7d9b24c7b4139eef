"""Pages in Locust's web UI: Connections with the data of this run, and /metrics for Prometheus."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import msgspec
from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from wscheck.loadgen.aggregator import RunAggregator
from wscheck.model.load_statistics import Histogram

_BUCKET_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300, 3600)
_PAGE = files("wscheck.loadgen").joinpath("connections.html").read_text(encoding="utf-8")
_LINK = (
    '<a href="connections" style="position:fixed;left:1rem;bottom:1rem;padding:.5rem .9rem;border-radius:.5rem;'
    'background:#15803d;color:#fff;font:600 14px system-ui;text-decoration:none;z-index:9999">Connections</a></body>'
)


def add_pages(web_ui: Any, aggregator: RunAggregator, base_path: str | None) -> None:
    """Add the pages to Locust's web app. If the app requires a login, the pages require it too."""
    pages = Blueprint("wscheck", __name__, url_prefix=base_path or None)
    require_login = web_ui.auth_required_if_enabled
    pages.add_url_rule("/connections", "page", require_login(lambda: Response(_PAGE, mimetype="text/html")))
    pages.add_url_rule("/connections/data", "data", require_login(lambda: _json_response(summary(aggregator))))
    prometheus = require_login(lambda: Response(metrics(aggregator), mimetype="text/plain"))
    pages.add_url_rule("/metrics", "metrics", prometheus)
    web_ui.app.register_blueprint(pages)
    web_ui.app.after_request(_add_link)


def _add_link(response: Response) -> Response:
    """Add to Locust's start page a link that opens the Connections page."""
    if response.mimetype == "text/html" and not response.direct_passthrough:
        page = response.get_data(as_text=True)
        if 'id="root"' in page:
            response.set_data(page.replace("</body>", _LINK, 1))
    return response


def _json_response(data: Any) -> Response:
    return Response(msgspec.json.encode(data), mimetype="application/json")


def summary(aggregator: RunAggregator) -> dict[str, Any]:
    """Return the data of the Connections page."""
    statistics = aggregator.statistics
    return {
        "begun": aggregator.run,
        "state": aggregator.state,
        "users": aggregator.users,
        "open": aggregator.open,
        "peak": aggregator.peak,
        "connections_per_user": statistics.connections_per_user,
        "churn_per_user_s": statistics.churn_per_user_s,
        "counted": {name: getattr(statistics, name) for name in _PAGE_COUNTERS},
        "refused": statistics.refused,
        "disconnects": statistics.disconnects,
        "durations_ms": {
            "connection lifetime": statistics.lifetime.percentiles,
            "connect": statistics.connect.percentiles,
            "acknowledgement": statistics.ack.percentiles,
            "own heartbeat lag": statistics.lag.percentiles,
        },
        "workers": [
            {"index": each.index, "state": each.state, "users": each.last_second.users, "open": each.last_second.open}
            for each in aggregator.workers.values()
        ],
        "seconds": aggregator.recent_seconds,
    }


_PAGE_COUNTERS = (
    "attempts",
    "connects",
    "replaced",
    "users_multiple",
    "received",
    "duplicated",
    "sent",
    "acks",
    "ack_timeouts",
    "unanswered",
    "protocol_errors",
    "stalled",
)


class _Collector:
    """Prometheus collector of the metrics in docs/load-engine.md. No label contains a user or a socket id."""

    def __init__(self, aggregator: RunAggregator) -> None:
        self._aggregator = aggregator

    def collect(self) -> Iterable[Metric]:
        aggregator, statistics = self._aggregator, self._aggregator.statistics
        yield GaugeMetricFamily(
            "wscheck_load_users", "Users that have connected and have not stopped.", aggregator.users
        )
        yield GaugeMetricFamily("wscheck_load_connections", "Connections open now.", aggregator.open)
        yield GaugeMetricFamily("wscheck_load_connections_peak", "Most connections open at once.", aggregator.peak)
        per_user = statistics.connections_per_user or 0.0
        yield GaugeMetricFamily(
            "wscheck_load_connections_per_user", "Most connections of a user at once, mean over the users.", per_user
        )
        for name, meaning in _COUNTERS.items():
            yield CounterMetricFamily(f"wscheck_load_{name}", meaning, getattr(statistics, name))
        yield _labelled_counter("wscheck_load_refused", "Connections refused.", "kind", statistics.refused)
        yield _labelled_counter("wscheck_load_disconnects", "Connections that ended.", "reason", statistics.disconnects)
        for name, histogram in _HISTOGRAMS.items():
            yield _histogram_metric(f"wscheck_load_{name}_seconds", getattr(statistics, histogram))


_COUNTERS = {
    "attempts": "Connections started.",
    "connects": "Connections opened.",
    "replaced": "Connections that the server ended in favour of a newer one of the same user.",
    "received": "Events received.",
    "duplicated": "Events that another connection of the same user had received already.",
    "sent": "Events sent.",
    "acks": "Acknowledgements received.",
    "ack_timeouts": "Acknowledgements that did not come in time.",
    "protocol_errors": "Connections ended because the server broke the protocol.",
    "stalled": "Connections that ended because this load generator was too late to answer a ping.",
}
_HISTOGRAMS = {"lifetime": "lifetime", "connect": "connect", "ack": "ack", "heartbeat_lag": "lag"}


def _labelled_counter(name: str, meaning: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _histogram_metric(name: str, histogram: Histogram) -> Metric:
    buckets = [(str(float(bound)), float(histogram.below(bound * 1000))) for bound in _BUCKET_BOUNDS_S]
    family = HistogramMetricFamily(name, f"{name}, within 2 %.")
    family.add_metric([], [*buckets, ("+Inf", float(histogram.count))], sum_value=histogram.total / 1000)
    return family


def metrics(aggregator: RunAggregator) -> str:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(aggregator))
    return generate_latest(registry).decode()
