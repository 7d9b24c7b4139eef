"""`--metrics`: the served metrics, the documentation, the dashboard and the alerts agree."""

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client import parser

from tests.run.tail.process import LoggingServer, TailProcess, wait_until
from wscheck.detect.engine import RuleOptions
from wscheck.notify.figures import STALLED_S, Figures
from wscheck.run.tail.watch import LogWatch

ROOT = Path(__file__).parents[3]
DASHBOARD = json.loads((ROOT / "grafana" / "wscheck.json").read_text())
DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()
T = 1_795_000_000.0
ADDED_BY_PROMETHEUS = {"instance", "job"}


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe, suppress(OSError):
        probe.bind(("::1", 0))
        return True
    return False


@pytest.fixture(scope="module")
def metrics_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TailProcess, str]]:
    """Start a run with events of every kind; return it and the URL of its metrics."""
    directory = tmp_path_factory.mktemp("metrics")
    server = LoggingServer(directory / "app.log")
    options = ("--metrics", "127.0.0.1:0", "--format", "ndjson", "--quiet-after", "1h", "--key", "user=uid")
    with TailProcess("app.log", *options, directory=directory) as tail:
        url = wait_until(lambda: re.search(r"http://127\.0\.0\.1:\d+", tail.err))[0]
        server.record("WebSocket client connected", T, socketId="a", uid="zoe_1")
        server.record("WebSocket client connected", T + 1, socketId="b", uid="zoe_1")
        server.record("WebSocket client connected", T + 2, socketId="c", uid="kim_2")
        server.record("Replacing existing socket for user", T + 3, uid="kim_2", oldSocketId="c", newSocketId="d")
        server.record("WebSocket client connected", T + 3, socketId="d", uid="kim_2")
        server.disconnect("c", T + 3, "server namespace disconnect")
        server.disconnect("d", T + 63, "user 4711 went away")
        server.line(b"WebSocket client connected " + b"x" * 1_100_000)
        wait_until(lambda: [line for line in tail.records if line.get("type") == "unreadable"])
        wait_until(lambda: "wscheck_unreadable_total 1.0" in get(f"{url}/metrics"))
        yield tail, url


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def families(url: str) -> dict[str, Any]:
    return {family.name: family for family in parser.text_string_to_metric_families(get(f"{url}/metrics"))}


def samples(url: str) -> dict[str, set[str]]:
    """Return the label names of each series."""
    found: dict[str, set[str]] = {}
    for family in families(url).values():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_metrics_count_the_events_of_the_log(metrics_server: tuple[TailProcess, str]) -> None:
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families(metrics_server[1]).values()
        for sample in family.samples
    }
    assert values["wscheck_connections",] == 2
    assert values["wscheck_users_over_one",] == 1
    assert values["wscheck_connects_total",] == 4
    assert values["wscheck_replaced_sockets_total",] == 1
    assert values["wscheck_disconnects_total", "server namespace disconnect"] == 1
    assert values["wscheck_disconnects_total", "other"] == 1
    assert values["wscheck_findings_total", "connection-replaced", "error"] == 1
    assert values["wscheck_open_incidents", "multiple-connections"] == 1
    assert values["wscheck_open_incidents", "excessive-attempts"] == 0
    assert values["wscheck_connection_duration_seconds_sum",] == 61, (
        "1 s for the replaced connection, 60 s for the other"
    )
    assert values["wscheck_log_lines_total",] == 8


def test_no_label_contains_a_user_or_a_sid(metrics_server: tuple[TailProcess, str]) -> None:
    text = get(f"{metrics_server[1]}/metrics")
    for secret in ("zoe_1", "kim_2", "4711", '"a"', '"d"'):
        assert secret not in text


def test_the_documented_metrics_are_those_served(metrics_server: tuple[TailProcess, str]) -> None:
    rows = re.findall(r"^\| `(wscheck_\w+)` \|(.*?)\| (\w+) \|", DOCUMENT, re.M)
    documented = {(name, frozenset(re.findall(r"`(\w+)`", labels)), kind) for name, labels, kind in rows}
    found = {
        (
            family.name + ("_total" if family.type == "counter" else ""),
            frozenset(label for sample in family.samples for label in sample.labels if label != "le"),
            family.type,
        )
        for family in families(metrics_server[1]).values()
    }
    assert documented == found


def test_healthz_answers_ok_while_logs_are_read(metrics_server: tuple[TailProcess, str]) -> None:
    assert get(f"{metrics_server[1]}/healthz") == "ok\n"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{metrics_server[1]}/elsewhere")


def test_healthz_fails_without_recent_polls() -> None:
    figures = Figures(LogWatch([], RuleOptions()))
    assert figures.healthy
    figures.polled_at -= STALLED_S + 1
    assert not figures.healthy
    figures.on_poll_end(None)
    assert figures.healthy


def queries() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert len(panels) >= len(DASHBOARD["panels"])
    return panels + re.findall(r"^ +expr: (.*)$", DOCUMENT, re.M)


def selectors(node: Any) -> Iterator[Any]:
    """Yield every selector in an expression of promql_parser."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "vector_selector", "lhs", "rhs"):
        if (inner := getattr(node, name, None)) is not None:
            yield from selectors(inner)
    for inner in getattr(node, "args", ()):
        yield from selectors(inner)


@pytest.mark.parametrize("query", queries())
def test_every_query_uses_existing_metrics_and_labels(metrics_server: tuple[TailProcess, str], query: str) -> None:
    known = samples(metrics_server[1])
    tree = promql_parser.parse(query.replace("$__rate_interval", "5m").replace("$instance", ".*"))
    asked = list(selectors(tree))
    assert asked
    for selector in asked:
        assert selector.name in known, f"{selector.name} does not exist"
        labels = known[selector.name] | ADDED_BY_PROMETHEUS
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels
        assert set(grouped_by(query)) <= labels


def grouped_by(query: str) -> list[str]:
    return [label.strip() for labels in re.findall(r"\bby \((.*?)\)", query) for label in labels.split(",")]


def test_legends_use_labels_of_their_query() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= set(grouped_by(target["expr"]))


def test_the_instance_variable_uses_an_existing_metric(metrics_server: tuple[TailProcess, str]) -> None:
    [query] = [v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
    assert re.fullmatch(r"label_values\((\w+), instance\)", query)[1] in samples(metrics_server[1])  # type: ignore[index]


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")
def test_metrics_are_served_on_ipv6(tmp_path: Path) -> None:
    LoggingServer(tmp_path / "app.log")
    with TailProcess("app.log", "--metrics", "[::1]:0", directory=tmp_path) as tail:
        url = wait_until(lambda: re.search(r"http://\[::1\]:\d+", tail.err))[0]
        assert get(f"{url}/healthz") == "ok\n"
