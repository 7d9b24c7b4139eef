"""`wscheck` without arguments suggests three commands, those that fit the working folder first."""

import json
import os
import socket
from pathlib import Path

import pytest

from tests.cli import environment, started
from wscheck.commands.suggestions import suggestions


def commands(folder: Path, *ports: int) -> list[str]:
    return [each.command for each in suggestions(folder, ports)]


def test_an_empty_folder_gets_commands_that_need_nothing_of_it(tmp_path: Path) -> None:
    assert commands(tmp_path) == ["wscheck verify", "wscheck browser http://localhost:3000/", "wscheck tail-logs FILE"]


@pytest.mark.parametrize(("folder", "command"), [(".", "wscheck scan"), ("client", "wscheck scan client")])
def test_a_frontend_is_scanned(folder: str, command: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "package.json").write_text(json.dumps({"devDependencies": {"socket.io-client": "^4"}}))
    assert commands(tmp_path)[0] == command


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"dependencies": ["socket.io-client"]}', '{"dependencies": {"vue": "3"}}']
)
def test_another_package_is_not_scanned(text: str, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(text)
    assert not any("scan" in command for command in commands(tmp_path))


def test_a_listening_server_is_watched(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening
        port = server.getsockname()[1]
        assert commands(tmp_path, silent.getsockname()[1], port)[0] == f"wscheck browser http://localhost:{port}/"


def test_the_newest_log_is_read(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name, age in (("old.log", 100), ("logs/my app.log", 10), ("empty.log", 0)):
        path = tmp_path / name
        path.write_text("" if age == 0 else "a line\n")
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    assert commands(tmp_path)[0] == "wscheck tail-logs --no-follow 'logs/my app.log'"


def test_without_arguments_the_suggestions_are_printed(tmp_path: Path) -> None:
    code, stdout, stderr = started([], tmp_path, environment(tmp_path), 60.0)
    assert (code, stderr) == (0, "")
    assert sum(line.startswith("  wscheck ") for line in stdout.splitlines()) == 3
    assert "wscheck --help" in stdout
