"""THE CONNECTIONS PAGE in Locust's own web UI, its data, and /metrics beside it."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import msgspec
from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from wscheck.loadgen.aggregator import Board
from wscheck.model.load_statistics import Histogram

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300, 3600)
_PAGE = files("wscheck.loadgen").joinpath("connections.html").read_text(encoding="utf-8")
_LINK = (
    '<a href="connections" style="position:fixed;left:1rem;bottom:1rem;padding:.5rem .9rem;border-radius:.5rem;'
    'background:#15803d;color:#fff;font:600 14px system-ui;text-decoration:none;z-index:9999">Connections</a></body>'
)


def serve(web_ui: Any, board: Board, prefix: str | None) -> None:
    """Add the pages to Locust's web app, behind its login where there is one."""
    pages = Blueprint("wscheck", __name__, url_prefix=prefix or None)
    guarded = web_ui.auth_required_if_enabled
    pages.add_url_rule("/connections", "page", guarded(lambda: Response(_PAGE, mimetype="text/html")))
    pages.add_url_rule("/connections/data", "data", guarded(lambda: _json(summary(board))))
    pages.add_url_rule("/metrics", "metrics", guarded(lambda: Response(metrics(board), mimetype="text/plain")))
    web_ui.app.register_blueprint(pages)
    web_ui.app.after_request(_link_to_the_page)


def _link_to_the_page(response: Response) -> Response:
    """Locust's own page gets a link to ours."""
    if response.mimetype == "text/html" and not response.direct_passthrough:
        page = response.get_data(as_text=True)
        if 'id="root"' in page:
            response.set_data(page.replace("</body>", _LINK, 1))
    return response


def _json(data: Any) -> Response:
    return Response(msgspec.json.encode(data), mimetype="application/json")


def summary(board: Board) -> dict[str, Any]:
    """What the page shows."""
    counted = board.statistics
    return {
        "begun": board.begun,
        "state": board.state,
        "users": board.users,
        "open": board.open,
        "peak": board.peak,
        "connections_per_user": counted.connections_per_user,
        "churn_per_user_s": counted.churn_per_user_s,
        "counted": {name: getattr(counted, name) for name in _SHOWN},
        "refused": counted.refused,
        "disconnects": counted.disconnects,
        "durations_ms": {
            "connection lifetime": counted.lifetime.percentiles,
            "connect": counted.connect.percentiles,
            "acknowledgement": counted.ack.percentiles,
            "own heartbeat lag": counted.lag.percentiles,
        },
        "workers": [
            {"index": each.index, "state": each.state, "users": each.last.users, "open": each.last.open}
            for each in board.workers.values()
        ],
        "seconds": board.shown,
    }


_SHOWN = (
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
    """The board as Prometheus metrics (docs/load.md names each). No label carries a user or a socket."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        board, counted = self._board, self._board.statistics
        yield GaugeMetricFamily("wscheck_load_users", "Users that hold or held a connection.", board.users)
        yield GaugeMetricFamily("wscheck_load_connections", "Connections open now.", board.open)
        yield GaugeMetricFamily("wscheck_load_connections_peak", "The most open at once.", board.peak)
        per_user = counted.connections_per_user or 0.0
        yield GaugeMetricFamily("wscheck_load_connections_per_user", "Mean of the most each user held.", per_user)
        for name, meaning in _COUNTERS.items():
            yield CounterMetricFamily(f"wscheck_load_{name}", meaning, getattr(counted, name))
        yield _by("wscheck_load_refused", "Connections refused.", "kind", counted.refused)
        yield _by("wscheck_load_disconnects", "Connections that ended.", "reason", counted.disconnects)
        for name, histogram in _HISTOGRAMS.items():
            yield _histogram(f"wscheck_load_{name}_seconds", getattr(counted, histogram))


_COUNTERS = {
    "attempts": "Connections begun.",
    "connects": "Connections opened.",
    "replaced": "Connections the server replaced by a newer one of the same user.",
    "received": "Events received.",
    "duplicated": "Events that another connection of the same user received, too.",
    "sent": "Events sent.",
    "acks": "Acknowledgements received.",
    "ack_timeouts": "Acknowledgements that did not come in time.",
    "protocol_errors": "Connections ended because the server sent nonsense.",
    "stalled": "Connections that ended while this generator itself was too late.",
}
_HISTOGRAMS = {"lifetime": "lifetime", "connect": "connect", "ack": "ack", "heartbeat_lag": "lag"}


def _by(name: str, meaning: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _histogram(name: str, histogram: Histogram) -> Metric:
    buckets = [(str(float(bound)), float(histogram.below(bound * 1000))) for bound in BOUNDS_S]
    family = HistogramMetricFamily(name, f"{name}, within 2 %.")
    family.add_metric([], [*buckets, ("+Inf", float(histogram.count))], sum_value=histogram.total / 1000)
    return family


def metrics(board: Board) -> str:
    """The board in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(board))
    return generate_latest(registry).decode()
