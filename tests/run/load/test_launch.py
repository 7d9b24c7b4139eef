"""How Locust is started: nothing secret on its command line, nothing of the project's own load tests."""

import os
from pathlib import Path

import pytest

from tests.run.load.plans import planned
from wscheck.model.secrets import Secret
from wscheck.run.load.locust_command import LOCUSTFILE, command, environ


def test_the_token_travels_in_the_environment_and_not_on_the_command_line(tmp_path: Path) -> None:
    plan = planned(token=Secret("secret-of-{user}"), options={"tabs": 4, "insecure": True, "ca_file": None})
    told = environ(plan, tmp_path)
    assert "secret" not in " ".join(command(plan))
    assert (told["WSCHECK_LOAD_TOKEN"], told["WSCHECK_LOAD_TABS"], told["WSCHECK_LOAD_INSECURE"]) == (
        "secret-of-{user}",
        "4",
        "1",
    )
    assert "WSCHECK_LOAD_CA_FILE" not in told


def test_what_a_project_tells_its_own_locust_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_PROCESSES", "4")
    monkeypatch.setenv("LOCUST_HOST", "https://production.example.com")
    told = environ(planned(), tmp_path)
    assert {name: value for name, value in told.items() if name.startswith("LOCUST_")} == {
        "LOCUST_HOST": "http://127.0.0.1:1"
    }


def test_what_was_importable_is_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"plugins{os.pathsep}/opt/more")
    places = environ(planned(), tmp_path)["PYTHONPATH"].split(os.pathsep)
    assert places[-2:] == [str(tmp_path / "plugins"), "/opt/more"]
    assert places[:-2] in ([], [str(LOCUSTFILE.parents[2])])


def test_a_cluster_listens_on_this_machine_alone_and_long_runs_are_whole_seconds() -> None:
    told = " ".join(command(planned(processes=2, run_time_s=1_234_567.0)))
    assert "--processes 2 --master-bind-host 127.0.0.1" in told and "-t 1234567s" in told
