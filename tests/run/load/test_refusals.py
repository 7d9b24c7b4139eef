"""Errors before a load run starts: each has a next step and its exit code."""

import contextlib
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli import Ran, wscheck
from tests.run.load.plans import load_plan
from wscheck.cli import app
from wscheck.config.settings import with_flags
from wscheck.config.target import ServerTarget
from wscheck.model.errors import CannotCheck, UsageError, WscheckError
from wscheck.run.load import plan as plan_module
from wscheck.run.load.plan import SystemLimits, check_limits, configured_plan, is_this_machine, system_limits


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--profile", "duplicate"), 2, "Unknown profile `duplicate`.\n  next: Did you mean `duplicated`?"),
        (("--profile", "zzz"), 2, "Unknown profile `zzz`.\n  next: Choose from: unified, duplicated, tabs"),
        (("--users", "0"), 2, "--users: '0' is not a whole number of at least 1"),
        (("--spawn-rate", "0"), 2, "--spawn-rate: '0' must be greater than 0"),
        (
            ("--users", "30", "--spawn-rate", "2", "--run-time", "14s"),
            2,
            "30 users at 2 a second need 15 s to start; the run lasts 14 s.\n"
            "  next: Make it longer (--run-time 30s), or use --spawn-rate 3.",
        ),
        (("--run-time", "soon"), 2, "--run-time: 'soon' is not a duration"),
        (("--max-replaced", "-1"), 2, "--max-replaced: '-1' is not a number"),
        (("--reconnect-on-kick", "x"), 2, "--reconnect-on-kick: 'x' is not a duration"),
        (("--transports", "polling"), 2, "A load run cannot use polling."),
        (("--users-file", "missing.csv"), 2, "missing.csv cannot be read: No such file"),
        (("--ca-file", "missing.pem"), 2, "missing.pem cannot be read"),
        (("--format", "ndjson"), 2, "This command does not support the format `ndjson`"),
        (("--before-after", "--profile", "tabs"), 2, "--profile tabs was given too"),
        (("http://192.0.2.7:8000",), 2, "next: If you may load it, add --i-may-load-this-target."),
        (
            ("http://127.0.0.1:9/admin/", "--protocol", "socket.io"),
            2,
            "URL: the address of the server has a path, /admin.",
        ),
        (("http://secret:word@192.0.2.7:8000",), 2, "http://192.0.2.7:8000 is not this machine"),
        (("http://127.0.0.1:1",), 3, "Nothing answers at http://127.0.0.1:1"),
        (("--users", "40000", "http://127.0.0.1:1"), 3, "ulimit"),
    ],
)
def test_each_error_has_a_next_step(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("WSCHECK_", "NEXT_PUBLIC_"))]:
        monkeypatch.delenv(name)
    error = CliRunner().invoke(app, ["load", *arguments]).exception
    assert isinstance(error, WscheckError), error
    assert error.exit_code == code
    assert message in with_flags(f"{error.problem}\n  next: {error.next_step}") and error.next_step.endswith(".")
    assert "secret" not in str(error) and "word@" not in str(error)


def test_the_command_prints_two_lines_and_no_traceback(tmp_path: Path) -> None:
    ran = wscheck("load", "--profile", "duplicate", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("wscheck: Unknown profile `duplicate`.\n  next: Did you mean `duplicated`? Choose from")


def test_an_unknown_profile_in_the_file_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "wscheck.toml").write_text("[load]\nusers = 3\nprofile = 'duplicate'\n")
    assert_unknown_profile(wscheck("load", cwd=tmp_path), "wscheck.toml:3")


def test_an_unknown_profile_in_the_environment_is_reported_with_its_variable(tmp_path: Path) -> None:
    assert_unknown_profile(wscheck("load", cwd=tmp_path, WSCHECK_PROFILE="duplicate"), "WSCHECK_PROFILE")


def assert_unknown_profile(ran: Ran, origin: str) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"wscheck: {origin}: unknown profile `duplicate`.\n  next: Did you mean `duplicated`?")


def test_too_few_open_files_are_an_error_with_the_number_needed() -> None:
    check_limits(load_plan(users=1000), SystemLimits(files=2100, ports=28_000))
    with pytest.raises(CannotCheck, match="2,000 connections in 1 process need 2,100 open files each") as refused:
        check_limits(load_plan(users=1000), SystemLimits(files=1024, ports=28_000))
    assert "ulimit -n 2100" in refused.value.next_step and "`load.processes=3`" in refused.value.next_step
    check_limits(load_plan(users=1000, processes=3), SystemLimits(files=767, ports=28_000))
    with pytest.raises(CannotCheck, match="need 767 open files each"):
        check_limits(load_plan(users=1000, processes=3), SystemLimits(files=766, ports=28_000))
    with pytest.raises(CannotCheck, match="The embedded backend needs 2,100 open files for 2,000 connections"):
        check_limits(load_plan(users=1000, processes=3, embedded=True), SystemLimits(files=1024, ports=28_000))


def test_local_ports_are_limited_per_source_address() -> None:
    with pytest.raises(CannotCheck, match="60,000 connections need 60,000 local ports") as refused:
        check_limits(load_plan(users=30_000), SystemLimits(files=100_000, ports=28_000))
    assert "`load.source_addresses=127.0.0.1,127.0.0.2,127.0.0.3`" in refused.value.next_step
    addresses = {"source_addresses": "127.0.0.1,127.0.0.2,127.0.0.3"}
    check_limits(load_plan(users=30_000, options=addresses), SystemLimits(files=100_000, ports=28_000))


def test_the_port_range_is_read_from_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "PORT_RANGE", tmp_path / "ip_local_port_range")
    for message, ports in (("32768\t60999\n", 28_232), ("4000 4000", 1), ("", 28_232)):
        plan_module.PORT_RANGE.write_text(message)
        assert system_limits(load_plan(embedded=True)).ports == ports, message


def test_ports_of_connections_to_the_same_server_are_not_free() -> None:
    with contextlib.ExitStack() as stack:
        # A port without connections of an earlier test in TIME_WAIT.
        servers = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(100))
        ports = (server.getsockname()[1] for server in servers)
        plans = ((port, load_plan(target=ServerTarget(url=f"http://127.0.0.1:{port}"))) for port in ports)
        port, plan = next((port, plan) for port, plan in plans if not system_limits(plan).ports_in_use)
        free = system_limits(plan)
        for _ in range(5):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        now = system_limits(plan)
    assert (free.ports_in_use, now.ports_in_use, free.ports - now.ports) == (0, 5, 5)
    with pytest.raises(
        CannotCheck, match="2 are free for each source address \\(28,000 are used by connections to this server\\)"
    ):
        check_limits(load_plan(users=1000), SystemLimits(files=100_000, ports=2, ports_in_use=28_000))


def test_the_connections_of_each_user_count() -> None:
    limits = SystemLimits(files=600, ports=28_000)
    check_limits(load_plan(profile="unified", users=500), limits)
    with pytest.raises(CannotCheck):
        check_limits(load_plan(profile="tabs", users=250, options={"tabs": 4}), limits)


def test_the_hard_limit_of_this_process_counts(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5_000:
        pytest.skip(f"needs a hard limit of 5,000 open files, and it is {hard}")
    # Only the hard limit counts, because the run raises the soft one.
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        ran = wscheck("load", "http://127.0.0.1:1", "--users", "2000", cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Nothing answers" in ran.err


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_needs_no_permission(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["192.0.2.7", "0.0.0.0", "no-such-host.invalid", "", "a" * 300])
def test_other_hosts_need_permission(host: str) -> None:
    assert not is_this_machine(host)


@pytest.mark.parametrize("header", ["", "user,token\n", "User Id, Token\n"])
def test_a_users_file_needs_a_line_for_each_user(header: str, tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text(f"# comment\n{header}user-1,a\n\nuser-2,b\n")
    settings = {"load.users": "3"}
    with pytest.raises(UsageError, match=r"users.csv has 2 users, and this run needs 3"):
        configured_plan(settings, {"users_file": str(users)}, {}, allow_other_machines=False)
    assert configured_plan({"load.users": "2"}, {"users_file": str(users)}, {}, allow_other_machines=False).users == 2


def test_the_run_time_is_rounded_up_to_whole_seconds() -> None:
    times = {"300ms": 1, "2s": 2, "2.5s": 3, "1m": 60}
    assert {
        t: configured_plan({"load.run_time": t}, {}, {}, allow_other_machines=False).run_time_s for t in times
    } == times


def test_a_run_must_be_long_enough_for_its_last_user() -> None:
    users = {"load.users": "10", "load.spawn_rate": "3"}
    with pytest.raises(UsageError, match="need 4 s to start; the run lasts 3 s"):
        configured_plan({**users, "load.run_time": "3s"}, {}, {}, allow_other_machines=False)
    assert configured_plan({**users, "load.run_time": "4s"}, {}, {}, allow_other_machines=False).run_time_s == 4


@pytest.mark.parametrize(
    ("toml", "options", "expects"),
    [
        ("", {}, False),
        ("", {"emit_event": "ask"}, True),
        ("", {"emit_event": "ask", "no_acks": True}, False),
        ('[[event]]\nname = "told"\nemit = "ask"\n', {}, True),
        ('[[event]]\nname = "told"\nemit = "ask"\n', {"no_acks": True}, True),
        ('[[event]]\nname = "told"\nemit = "ask"\nrequired = false\n', {}, False),
        ('[[event]]\nname = "told"\n', {}, False),
    ],
)
def test_the_contract_and_the_flags_say_whether_the_server_answers(
    *, toml: str, options: dict[str, object], expects: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wscheck.toml").write_text(toml)
    plan = configured_plan({"target.url": "http://127.0.0.1:1"}, options, {}, allow_other_machines=False)
    assert plan.expects_answers is expects


def test_another_machine_needs_permission() -> None:
    settings = {"target.url": "http://192.0.2.7:8000"}
    with pytest.raises(UsageError):
        configured_plan(settings, {}, {}, allow_other_machines=False)
    assert configured_plan(settings, {}, {}, allow_other_machines=True).target_name == "http://192.0.2.7:8000"


def test_without_locust_the_error_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'locust' else found(name, *more)\n"
        "from wscheck.cli import main\n"
        "sys.argv = ['wscheck', 'load']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and "pip install 'wscheck-cli[load]'" in done.stderr, done.stderr


def test_the_command_imports_no_locust(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from wscheck.run.load.run import require_locust\n"
        "import wscheck.commands.load_view, wscheck.cli\n"
        "require_locust()\n"
        "print([name for name in ('locust', 'gevent') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"


def test_a_silent_server_is_unreachable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ran = wscheck("load", url, "--timeout", "500ms", cwd=tmp_path)
    assert ran.code == 3 and "did not answer within 0.5 s" in ran.err
