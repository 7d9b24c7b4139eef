"""Counts of `wscheck load` are exactly the server's, on both backends, with and without workers."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from tests.node_backend import node_backend
from tests.run.load.load_command import LoadCommand, run_load, run_load_until

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
ARGUMENTS = ("--users", "10", "--emit-every", "200ms")


def measures(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {measure["id"]: measure for measure in report["measures"]}


def test_before_and_after_on_the_node_server(tmp_path: Path) -> None:
    page, csv, html = tmp_path / "page.html", tmp_path / "own", tmp_path / "own.html"
    for name in ("locust.conf", ".locust.conf"):  # the user's own load tests
        (tmp_path / name).write_text("master = true\n")
    outputs = ("--format", f"html={page}", "--locust-csv", str(csv), "--locust-html", str(html))
    with node_backend() as server:
        code, report, output = run_load(
            tmp_path, server.url, "--before-after", *ARGUMENTS, "--run-time", "2s", *outputs
        )
        counted = server.counters()
    jsonschema.validate(report, json.loads((SCHEMAS / "wscheck.compare-1.json").read_bytes()))
    by_id = measures(report)
    # A machine that is busy during the second run may be slower then.
    worse = {name for name, measure in by_id.items() if measure["change"] == "worse"}
    assert code == (1 if worse else 0) and worse <= {"connect_p95_ms", "ack_p95_ms"}, output
    before, after = ({name: measure[side] for name, measure in by_id.items()} for side in ("before", "after"))
    assert (before["connections_per_user"], after["connections_per_user"]) == (2.0, 1.0)
    assert before["connects"] >= 20 and after["connects"] == 10
    assert before["connects"] + after["connects"] == counted["connects"]
    assert (before["replaced"], after["replaced"]) == (counted["replaced"], 0)
    assert after["connections_peak"] == 10
    assert counted["open"] == 0 and counted["refused"] == 0
    assert by_id["lifetime_p50_ms"]["change"] == by_id["churn_per_user_s"]["change"] == "better"
    # The number of charts depends on how soon the machine starts the run.
    assert page.read_text().count('class="course"') >= 2
    assert (tmp_path / "own-unified_stats.csv").exists() and "<html" in (tmp_path / "own-unified.html").read_text()
    assert "token-of-" not in output + page.read_text() + json.dumps(report)


def test_the_embedded_backend_counts_the_same_and_findings_precede_the_crossed_threshold(tmp_path: Path) -> None:
    limits = ("--max-connections-per-user", "1.05", "--max-replaced", "0", "--max-connect-p95", "30s")
    profile = ("--profile", "duplicated", "--connections", "per-user")
    code, report, output = run_load_until(tmp_path, has_loop_and_events, *profile, *ARGUMENTS, *limits)
    assert code == 1, output
    jsonschema.validate(report, json.loads((SCHEMAS / "wscheck.load-1.json").read_bytes()))
    assert_agrees(report, report["server"] | {"disconnects": {}})
    crossed = {limit["id"]: limit["crossed"] for limit in report["thresholds"]}
    assert crossed == {"max-connections-per-user": True, "max-replaced": True, "max-connect-p95": False}
    assert "✗ --max-replaced 0: " in output
    rules = {finding["rule"]: finding["cause"]["id"] for finding in report["findings"]}
    assert rules == {
        "multiple-connections": "two-openers",
        "connection-replaced": "reconnect-on-kick",
        "excessive-attempts": "reconnect-on-kick",
    }


def has_loop_and_events(run: LoadCommand) -> bool:
    """Report whether all ten users replaced their own connections and received events."""
    statistics = run.statistics()
    return statistics.users_multiple == 10 and statistics.replaced >= 60 and statistics.received > 20


def assert_received(report: dict[str, Any], counted: dict[str, Any]) -> None:
    """Check that all events arrived, except those on the way to a connection that closes."""
    assert 0 <= counted["emitted"] - report["events"]["received"] <= 10 and counted["emitted"] > 0


def assert_agrees(report: dict[str, Any], counted: dict[str, Any]) -> None:
    assert report["connects"] == counted["connects"] >= 20
    assert report["replaced"] == counted["replaced"] >= 10
    assert report["connections_per_user"] == 2.0
    assert sum(report["refused"].values()) == counted["refused"] == 0
    assert sum(report["disconnects"].values()) == report["connects"]
    assert_received(report, counted)
    # The two sides measure a different overlap of the old and the new connection.
    assert 10 <= report["connections_peak"] <= 20 and 10 <= counted["peak"] <= 20
    if counted["disconnects"]:
        assert sum(counted["disconnects"].values()) == report["connects"]
        assert counted["disconnects"]["server namespace disconnect"] == report["replaced"]
    series = report["series"]
    assert sum(second["connects"] for second in series) == report["connects"]
    assert sum(second["replaced"] for second in series) == report["replaced"]


def test_a_server_that_allows_several_connections_shows_them_and_the_duplicates(tmp_path: Path) -> None:
    """The counts of two workers add up to the server's, in a run that Locust ends."""
    arguments = ("--profile", "tabs", "--tabs", "4", "--users", "5", "--processes", "2", "--emit-every", "500ms")
    policy = ("--connections", "per-user")
    with node_backend("--policy", "allow") as server:
        code, report, output = run_load_until(
            tmp_path,
            lambda run: run.open_connections() == 20 and server.counters()["emitted"] >= 200,
            *(server.url, *arguments, *policy),
        )
        counted = server.counters()
    assert code == 1, output
    assert (report["workers"], report["workers_lost"], report["users"]) == (2, 0, 5)
    assert report["connections_per_user"] == 4.0 and report["replaced"] == 0
    assert report["connects"] == counted["connects"] == report["connections_peak"] == counted["peak"] == 20
    assert report["connections_open"] == 20
    assert_received(report, counted)
    assert abs(report["events"]["duplicated"] / report["events"]["received"] - 3 / 4) < 0.05
    (finding,) = report["findings"]
    assert (finding["rule"], finding["cause"]["id"]) == ("multiple-connections", "several-tabs")


STEPS_AND_PAYLOADS = """
[[connect.step]]
emit = "echo"
payload = { user = "{user}", key = "{token}" }
ack = true

[[connect.step]]
emit = "request_message_sync"
wait_for = "message_sync"

[[event]]
name = "bot_status_update"
emit = "request_bot_status"
payload = { bot = "bot of {user}" }
"""


def test_the_counts_agree_with_steps_after_connecting_and_payloads(tmp_path: Path) -> None:
    (tmp_path / "wscheck.toml").write_text(STEPS_AND_PAYLOADS)
    arguments = ("--users", "6", "--processes", "2", "--emit-every", "500ms")
    with node_backend() as server:
        code, report, output = run_load_until(
            tmp_path,
            lambda run: run.open_connections() == 6 and run.statistics().acks >= 12,
            *(server.url, *arguments),
        )
        counted = server.counters()
    assert code == 0, output
    assert report["connects"] == counted["connects"] == 6 and not report["refused"] and not counted["refused"]
    assert_received(report, counted)
    assert report["notes"] == [] and "token-of-" not in output + json.dumps(report)
