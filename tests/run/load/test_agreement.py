"""What `wscheck load` tells is what the server counted: exactly, on both backends, alone and with workers."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from tests.node_backend import node_backend
from tests.run.load.load_command import load

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
SWARM = ("--users", "10", "--run-time", "2s", "--emit-every", "200ms")


def measures(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {measure["id"]: measure for measure in report["measures"]}


def test_before_and_after_on_the_node_server(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with node_backend() as server:
        code, report, said = load(tmp_path, server.url, "--before-after", *SWARM, "--format", f"html={page}")
        counted = server.counters()
    jsonschema.validate(report, json.loads((SCHEMAS / "wscheck.compare-1.json").read_bytes()))
    told = measures(report)
    # Times belong to the machine: one that is busy with the second run may be slower then.
    worse = {name for name, measure in told.items() if measure["change"] == "worse"}
    assert code == (1 if worse else 0) and worse <= {"connect_p95_ms", "ack_p95_ms"}, said
    before, after = ({name: measure[side] for name, measure in told.items()} for side in ("before", "after"))
    assert (before["connections_per_user"], after["connections_per_user"]) == (2.0, 1.0)
    assert before["connects"] >= 20 and after["connects"] == 10
    assert before["connects"] + after["connects"] == counted["connects"]
    assert (before["replaced"], after["replaced"]) == (counted["replaced"], 0)
    assert after["connections_peak"] == 10
    assert counted["open"] == 0 and counted["refused"] == 0
    assert told["lifetime_p50_ms"]["change"] == told["churn_per_user_s"]["change"] == "better"
    # How many seconds there are to draw depends on how soon the machine begins.
    assert page.read_text().count('class="course"') >= 2
    assert "token-of-" not in said + page.read_text() + json.dumps(report)


def test_the_embedded_backend_counts_the_same_and_the_threshold_is_crossed(tmp_path: Path) -> None:
    csv, html = tmp_path / "own", tmp_path / "own.html"
    for name in ("locust.conf", ".locust.conf"):  # of a project, and a home, with load tests of their own
        (tmp_path / name).write_text("master = true\n")
    limits = ("--max-connections-per-user", "1.05", "--max-replaced", "0", "--max-connect-p95", "30s")
    outputs = ("--locust-csv", str(csv), "--locust-html", str(html))
    code, report, said = load(tmp_path, "--profile", "duplicated", *SWARM, *limits, *outputs)
    assert code == 99, said
    jsonschema.validate(report, json.loads((SCHEMAS / "wscheck.load-1.json").read_bytes()))
    assert_agrees(report, report["server"] | {"disconnects": {}})
    crossed = {limit["id"]: limit["crossed"] for limit in report["thresholds"]}
    assert crossed == {"max-connections-per-user": True, "max-replaced": True, "max-connect-p95": False}
    assert "✗ --max-replaced 0: " in said
    rules = {finding["rule"]: finding["cause"]["id"] for finding in report["findings"]}
    assert rules == {
        "multiple-connections": "two-openers",
        "connection-replaced": "reconnect-on-kick",
        "excessive-attempts": "reconnect-on-kick",
    }
    assert (tmp_path / "own_stats.csv").exists() and "<html" in html.read_text()


def assert_received(report: dict[str, Any], counted: dict[str, Any]) -> None:
    """Everything the server sent, but for what is under way to a connection that closes."""
    assert 0 <= counted["emitted"] - report["events"]["received"] <= 10 and counted["emitted"] > 0


def assert_agrees(report: dict[str, Any], counted: dict[str, Any]) -> None:
    assert report["connects"] == counted["connects"] >= 20
    assert report["replaced"] == counted["replaced"] >= 10
    assert report["connections_per_user"] == 2.0
    assert sum(report["refused"].values()) == counted["refused"] == 0
    assert sum(report["disconnects"].values()) == report["connects"]
    assert_received(report, counted)
    # Of a replacement each end sees the new and the old overlap for another fraction of a millisecond.
    assert 10 <= report["connections_peak"] <= 20 and 10 <= counted["peak"] <= 20
    if counted["disconnects"]:
        assert sum(counted["disconnects"].values()) == report["connects"]
        assert counted["disconnects"]["server namespace disconnect"] == report["replaced"]
    series = report["series"]
    assert sum(second["connects"] for second in series) == report["connects"]
    assert sum(second["replaced"] for second in series) == report["replaced"]


def test_a_server_that_allows_several_connections_shows_them_and_the_duplicates(tmp_path: Path) -> None:
    """And two workers add up to what the server counted, in a run that ends by itself."""
    swarm = ("--profile", "tabs", "--tabs", "4", "--users", "5", "--run-time", "2s", "--processes", "2")
    with node_backend("--policy", "allow") as server:
        code, report, said = load(tmp_path, server.url, *swarm)
        counted = server.counters()
    assert code == 1, said
    assert (report["workers"], report["workers_lost"], report["users"]) == (2, 0, 5)
    assert report["connections_per_user"] == 4.0 and report["replaced"] == 0
    assert report["connects"] == counted["connects"] == report["connections_peak"] == counted["peak"] == 20
    assert report["connections_open"] == 20
    assert_received(report, counted)
    assert abs(report["events"]["duplicated"] / report["events"]["received"] - 3 / 4) < 0.05
    (finding,) = report["findings"]
    assert (finding["rule"], finding["cause"]["id"]) == ("multiple-connections", "several-tabs")
