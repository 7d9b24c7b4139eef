"""In Locust itself: a stop by signal, too few users, the Connections page, /metrics and the public module."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.loadgen.locust_runs import ROOT, assert_adds_up, assert_agrees, free_port, locust
from tests.needs import needs
from tests.node_backend import node_backend
from wscheck.model.load_statistics import RunTotals
from wscheck.observe.browser.launch import FLAGS

QUIET = ("--fault", "log-nothing")


def test_a_stop_by_signal_closes_in_order_and_ends_the_stream(tmp_path: Path) -> None:
    with node_backend(*QUIET) as server, locust("soak", server.url, tmp_path, emit_every=0.1) as run:
        run.wait_until(lambda run: any(line.open == 6 for line in run.records_of(RunTotals)))
        run.process.send_signal(signal.SIGINT)
        run.finish()
        assert_agrees(run.statistics, server.counters())
    assert_adds_up(run)
    assert run.records_of(RunTotals)[-1].state == "ended"


def test_too_few_users_end_the_run_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("ada,token-of-ada\n")
    with (
        node_backend(*QUIET) as server,
        locust("unified", server.url, tmp_path, "--users-file", str(tmp_path / "users.csv"), users=3) as run,
    ):
        output = run.finish()
        assert_agrees(run.statistics, server.counters())
    assert run.process.returncode == 2
    assert "this run needs more users than the 1 in the users file" in output
    assert "Traceback" not in output


def get(url: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_the_connections_page_and_the_metrics(tmp_path: Path) -> None:
    port = free_port()
    ui = ("--web-host", "127.0.0.1", "--web-port", str(port), "--autostart", "--autoquit", "0")
    with (
        node_backend(*QUIET) as server,
        locust("duplicated", server.url, tmp_path, *ui, token="token-of-{user}", query="key=secret") as run,
    ):
        run.wait_until(lambda run: any(line.statistics.replaced > 20 for line in run.records_of(RunTotals)))
        url = f"http://127.0.0.1:{port}"
        data, page, metrics = (
            json.loads(get(f"{url}/connections/data")),
            get(f"{url}/connections"),
            get(f"{url}/metrics"),
        )
        assert data["begun"]["profile"] == "duplicated"
        assert data["connections_per_user"] == 2.0
        assert data["counted"]["replaced"] > 20
        assert data["seconds"]
        assert "secret" not in json.dumps(data)
        assert "<title>Connections" in page
        assert ">Connections</a>" in get(url)
        assert {"open", "replaced", "duplicated", "heartbeat lag ms"} <= plotted_lines(f"{url}/connections", tmp_path)
        run.process.send_signal(signal.SIGTERM)
        run.finish()
    values = dict(re.findall(r"^([^#].*) (\S+)$", metrics, re.MULTILINE))
    assert float(values["wscheck_load_connections_per_user"]) == 2.0
    assert float(values["wscheck_load_replaced_total"]) > 20
    assert float(values['wscheck_load_disconnects_total{reason="io server disconnect"}']) > 20
    assert float(values["wscheck_load_connect_seconds_count"]) > 20
    assert float(values['wscheck_load_connect_seconds_bucket{le="+Inf"}']) > 20
    assert "load-user-" not in metrics


def plotted_lines(url: str, folder: Path) -> set[str]:
    """Return the legends of the lines that a browser draws. Check the axes of every plot."""
    needs("chromium")
    flags = [*(flag for flag in FLAGS if "remote-debugging" not in flag), "--no-sandbox"]
    command = ["chromium", *flags, f"--user-data-dir={folder / 'chromium'}", "--virtual-time-budget=3000", "--dump-dom"]
    page = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=60).stdout
    plots, lines = page.count('class="plot"'), page.count("<polyline")
    legends = re.findall(r"</i>([a-z ]+?) [\d.,]+, at most", page)
    assert (plots, page.count("<span>now</span>"), page.count("<span>0</span>")) == (4, 4, 4)
    assert lines == len(legends) == 7
    return set(legends)


LOCUSTFILE = """
from locust import task
from wscheck.locust import SocketUser

class Own(SocketUser):
    profile = "unified"
    wait_time = lambda self: 0.1

    def on_start(self):
        super().on_start()
        self.calls = []
        self.components[0].on_open = lambda component: self.calls.append("open")
        self.components[0].on_event = lambda name, arguments: self.calls.append(name)

    @task
    def talk(self):
        if self.calls and self.call("request_bot_status") == [{"ok": True}]:
            print("ANSWERED", self.call("echo", 7), sorted(set(self.calls)), flush=True)
"""


def test_a_locustfile_with_the_public_module(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(LOCUSTFILE)
    with node_backend(*QUIET) as server, locust(str(tmp_path / "own"), server.url, tmp_path) as run:
        output = run.stop_when(lambda counted: counted.acks > 20)
        assert_agrees(run.statistics, server.counters())
    assert "ANSWERED [7] ['bot_status_update', 'open']" in output
    assert re.search(r"^WS +echo +[1-9]", output, re.MULTILINE), "what `call` waits for is a Locust request too"


RAMP_DOWN = """
import gevent
from locust import LoadTestShape, events
from wscheck.locust import SocketUser

class Visitor(SocketUser):
    profile = "unified"

    def on_stop(self):
        super().on_stop()
        gevent.sleep(0.01)
        print("STOPPED", self.user_connections.user, flush=True)

class Shape(LoadTestShape):
    counts = [8, 3]

    def tick(self):
        if self.get_current_user_count() == self.counts[0]:
            self.counts = self.counts[1:]
        return (self.counts[0], 100) if self.counts else None

@events.test_stopping.add_listener
def print_greenlets(environment, **_):
    runner, greenlets = environment.runner, list(environment.runner.user_greenlets)
    print("AT THE END", len(greenlets), sum(map(bool, greenlets)), dict(runner.user_classes_count), flush=True)
"""


@pytest.mark.parametrize("stop_timeout", ["0", "9"])
def test_users_that_only_wait_take_no_greenlet_and_stop_in_order(tmp_path: Path, stop_timeout: str) -> None:
    (tmp_path / "ramp.py").write_text(RAMP_DOWN)
    with (
        node_backend(*QUIET) as server,
        locust(str(tmp_path / "ramp"), server.url, tmp_path, "--stop-timeout", stop_timeout) as run,
    ):
        output = run.finish()
        assert_agrees(run.statistics, server.counters())
    assert len(set(re.findall(r"^STOPPED (.*)", output, re.MULTILINE))) == output.count("STOPPED") == 8
    assert "AT THE END 3 0 {'Visitor': 3}" in output, "three users, none of them with a running greenlet"
    assert run.statistics.connects == 8 and "Traceback" not in output


def test_load_generation_imports_no_socketio() -> None:
    code = "import sys, wscheck.loadgen.locustfile; print({'socketio', 'aiohttp'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def test_every_profile_has_a_locustfile() -> None:
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles"), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) >= {"Unified", "Duplicated", "Tabs", "StrictMode", "Storm", "Soak"}


def run_python(code: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)


def test_the_public_module_names_the_packages_locustfile() -> None:
    done = run_python("from wscheck.locust import LOCUSTFILE; print(LOCUSTFILE.read_text())")
    assert "class Page(SocketUser)" in done.stdout, done.stderr


def test_the_old_names_of_the_public_module_are_deprecated_aliases() -> None:
    aliases = (
        "from wscheck.load.user import SocketUser as first; from wscheck.load import SocketUser as second; "
        "from wscheck.locust import SocketUser as third; print(first is second is third)"
    )
    assert run_python(aliases, "-W", "ignore").stdout == "True\n"
    failed = run_python(aliases, "-W", "error")
    message = "DeprecationWarning: wscheck.load is deprecated. Use: from wscheck.locust import SocketUser"
    assert failed.returncode == 1 and failed.stderr.endswith(f"{message}\n")
