"""`wscheck --help` must feel instant, and the command line must never meet what only a load run may import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "socketio",
    "engineio",
    "aiohttp",
    "locust",
    "gevent",
    "jinja2",
    "asyncio",
    "xml",
    "mcp",
    "msgspec",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
)

UNNEEDED_FOR_A_SMALL_LOG = (
    "aiohttp",
    "asyncio",
    "email",
    "gevent",
    "hashlib",
    "http.client",
    "importlib.metadata",
    "jinja2",
    "locust",
    "pydantic",
    "rich._emoji_codes",
    "socketio",
    "ssl",
    "statistics",
    "tomllib",
    "xml",
)
"""Modules that would make up much of the time in which `wscheck tail-logs --no-follow` reads a small log."""


def imported_by(*arguments: str) -> set[str]:
    """The modules that `wscheck ARGUMENTS` has imported when it ends."""
    code = (
        "import json, sys\n"
        f"sys.argv = {['wscheck', *arguments]!r}\n"
        "from wscheck.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [("--help",), ("verify", "--help"), ("--version",)], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert imported_by(*arguments) & set(HEAVY) == set()


@pytest.mark.parametrize("arguments", [("explain", "multiple-connections"), ("rules",), ("config",)], ids=" ".join)
def test_lookup_commands_do_not_import_locust(arguments: tuple[str, ...]) -> None:
    assert imported_by(*arguments) & {"locust", "gevent"} == set()


def test_reading_a_small_log_imports_nothing_heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # it contains no configuration file
    log = tmp_path / "app.log"
    log.write_text('{"time":1795000000000,"msg":"WebSocket client connected","userId":"ada","socketId":"s1"}\n')
    assert imported_by("tail-logs", "--no-follow", str(log)) & set(UNNEEDED_FOR_A_SMALL_LOG) == set()


def test_a_verify_run_does_not_import_locust(tmp_path: Path) -> None:
    told = tmp_path / "run.json"
    seen = imported_by("verify", "--scenario", "single-connection", "--window", "100ms", "--format", f"json={told}")
    assert json.loads(told.read_text())["verdict"] == "passed"
    assert "socketio" in seen
    assert seen & {"locust", "gevent"} == set()


def test_the_import_check_detects_a_heavy_import() -> None:
    assert "asyncio" in imported_by("serve", "--fault", "no-such-fault")
