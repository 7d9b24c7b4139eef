"""Command line and environment of Locust: no secret, and nothing of the user's own load tests."""

import os
from pathlib import Path

import pytest

from tests.run.load.plans import load_plan
from wscheck.model.secrets import Secret
from wscheck.run.load.run import LOCUSTFILE, locust_command, locust_environment


def test_the_token_is_in_the_environment_and_not_on_the_command_line(tmp_path: Path) -> None:
    plan = load_plan(token=Secret("secret-of-{user}"), options={"tabs": 4, "insecure": True, "ca_file": None})
    environment = locust_environment(plan, tmp_path)
    assert "secret" not in " ".join(locust_command(plan))
    assert (
        environment["WSCHECK_LOAD_TOKEN"],
        environment["WSCHECK_LOAD_TABS"],
        environment["WSCHECK_LOAD_INSECURE"],
    ) == (
        "secret-of-{user}",
        "4",
        "1",
    )
    assert "WSCHECK_LOAD_CA_FILE" not in environment


def test_locust_variables_of_the_user_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_PROCESSES", "4")
    monkeypatch.setenv("LOCUST_HOST", "https://production.example.com")
    environment = locust_environment(load_plan(), tmp_path)
    assert {name: value for name, value in environment.items() if name.startswith("LOCUST_")} == {
        "LOCUST_HOST": "http://127.0.0.1:1"
    }


def test_relative_paths_of_pythonpath_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"plugins{os.pathsep}/opt/more")
    folders = locust_environment(load_plan(), tmp_path)["PYTHONPATH"].split(os.pathsep)
    assert folders[-2:] == [str(tmp_path / "plugins"), "/opt/more"]
    assert folders[:-2] in ([], [str(LOCUSTFILE.parents[2])])


def test_workers_use_loopback_and_long_run_times_are_whole_seconds() -> None:
    arguments = " ".join(locust_command(load_plan(processes=2, run_time_s=1_234_567.0)))
    assert "--processes 2 --master-bind-host 127.0.0.1" in arguments and "-t 1234567s" in arguments
