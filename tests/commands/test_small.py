"""The small commands as a user runs them: init, config, rules, explain, --version, and shell completion."""

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.console import Console

from tests.cli import environment, wscheck
from wscheck import __version__
from wscheck.cli import app
from wscheck.commands.config import show
from wscheck.config.settings import SETTINGS
from wscheck.detect.causes import CATALOGUE
from wscheck.detect.rules import RULE_DOCS as RULES
from wscheck.run.documentation import sections
from wscheck.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-hunter2"
ROOT_COMMAND: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = ROOT_COMMAND.commands


def test_version() -> None:
    ran = wscheck("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"wscheck {__version__}\n", "")


def test_help_names_every_command_with_what_it_does() -> None:
    ran = wscheck("--help")
    assert ran.code == 0
    for command in ("verify", "serve", "init", "config", "rules", "explain", "tail-logs"):
        assert any(line.split()[:1] == [command] and len(line.split()) > 3 for line in ran.out.splitlines()), command


@pytest.mark.parametrize("name", COMMANDS)
def test_help_describes_each_flag_without_python_types(name: str) -> None:
    command = COMMANDS[name]
    for parameter in command.params:
        called, told = parameter.get_help_record(command.make_context(name, [], resilient_parsing=True))
        assert "<" not in called, called
        assert len(re.sub(r"\[.*\]", "", told).split()) > 1, called


def test_init_writes_a_file_that_config_reads_and_never_overwrites(tmp_path: Path) -> None:
    assert wscheck("init", cwd=tmp_path).code == 0
    written = (tmp_path / "wscheck.toml").read_text()
    (tmp_path / "wscheck.toml").write_text(written.replace('# window = "2s" ', 'window = "9s"   '))
    line = 1 + next(n for n, text in enumerate(written.splitlines()) if text.startswith("# window"))
    shown = wscheck("config", cwd=tmp_path).out
    assert next(row.split()[:4] for row in shown.splitlines() if row.startswith("verify.window ")) == [
        "verify.window",
        "9s",
        f"wscheck.toml:{line}",
        "time",
    ]
    again = wscheck("init", cwd=tmp_path)
    assert again.code == 2
    assert "wscheck.toml exists already" in again.err and "--force" in again.err
    assert 'window = "9s"' in (tmp_path / "wscheck.toml").read_text()
    assert wscheck("init", "--force", cwd=tmp_path).code == 0
    assert (tmp_path / "wscheck.toml").read_text() == written


def test_init_reports_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "wscheck.toml").mkdir()
    ran = wscheck("init", "--force", cwd=tmp_path)
    assert ran.code == 2
    assert "wscheck.toml cannot be written" in ran.err


def test_config_shows_every_value_with_its_origin_and_no_secret() -> None:
    ran = wscheck(
        "config",
        WSCHECK_TOKEN=SECRET,
        WSCHECK_SECOND_TOKEN=SECRET,
        WSCHECK_WEBHOOK=f"https://hooks.example/{SECRET}",
        WSCHECK_URL=f"https://me:{SECRET}@example.org/app?token={SECRET}",
        WSCHECK_GRACE="1s",
    )
    assert ran.code == 0
    rows = {line.split()[0]: line for line in ran.out.splitlines()}
    assert set(SETTINGS) <= set(rows)
    assert SECRET not in ran.said
    for name in ("token", "second_token"):
        assert rows[f"identity.{name}"].split()[1:3] == ["(hidden)", f"WSCHECK_{name.upper()}"]
    assert rows["target.url"].split()[1:3] == ["https://example.org/app?(hidden)", "WSCHECK_URL"]
    assert rows["rules.grace"].split()[1:3] == ["1s", "WSCHECK_GRACE"]
    assert rows["rules.max_attempts"].split()[1:3] == ["5/10s", "default"]
    assert rows["target.transports"].split()[1:3] == ["polling,websocket", "default"]
    assert rows["verify.client"].split()[1:3] == ["unified", "default"]
    assert [line for line in ran.out.splitlines() if line.startswith("event ") and "message_sync" in line]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_config_fits_the_terminal_and_interprets_no_markup(width: int) -> None:
    output = StringIO()
    console = Console(width=width, file=output, highlight=False, markup=False)
    show([("identity.user_id", "[red]ann", "WSCHECK_USER_ID", "the user to connect as")], console)
    lines = output.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    told = " ".join(" ".join(lines).split())
    assert "identity.user_id [red]ann" in told and "the user to connect as" in told


def test_an_error_in_the_file_ends_every_command_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "wscheck.toml").write_text("[verify]\n\nwindw = 1\n")
    for command in ("config", "verify"):
        ran = wscheck(command, cwd=tmp_path)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("wscheck: wscheck.toml:3: unknown key `windw`.\n  next: Did you mean `window`?")


def test_rules_lists_every_id() -> None:
    ran = wscheck("rules")
    assert ran.code == 0
    listed = {line.split()[0] for line in ran.out.splitlines() if line.startswith("  ")}
    assert listed == {*RULES, *CATALOGUE, *SCENARIOS, *sections("gaps"), *sections("errors")}


@pytest.mark.parametrize(
    ("id", "told"),
    [
        ("multiple-connections", ["Severity:", "error", "Means:", "Fix:", RULES["multiple-connections"].fix]),
        ("upgrade", ["upgrade: a polling session and its upgrade (benign)\n"]),
        ("reconnect-on-kick", ["Shows as:", "Fix:", "Confirmed by:"]),
        (
            "auth-refused",
            ["Must hold:", "Rules:", "token-unchecked", "Control:", "retries at once"],
        ),
        ("no-times", ["no-times\n  No line has a time", "To close it:", "docker logs -t"]),
        ("unreachable", ["Check the host, the port"]),
        ("zombie", ["Shows as:", CATALOGUE["zombie"].fix, "Must hold:", SCENARIOS["zombie"].claim]),
    ],
)
def test_explain_prints_meaning_and_fix(id: str, told: list[str]) -> None:
    ran = wscheck("explain", id)
    assert ran.code == 0
    for text in told:
        assert text in ran.out


@pytest.mark.parametrize(
    ("arguments", "problem", "suggestion"),
    [
        (
            ("explain", "mutiple-connection"),
            "no rule, cause, scenario, gap or error",
            "`multiple-connections`",
        ),
        (("verify", "--scenario", "singel-connection"), "Unknown scenario `singel-connection`", "`single-connection`"),
    ],
)
def test_an_unknown_id_gets_a_suggestion(arguments: tuple[str, ...], problem: str, suggestion: str) -> None:
    ran = wscheck(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert problem in ran.err
    assert f"next: Did you mean {suggestion}" in ran.err


@pytest.mark.parametrize("arguments", [("verfy",), ("verify", "--windw", "1s"), ("explain",), ("serve", "--port", "x")])
def test_usage_errors_end_with_2_and_no_traceback(arguments: tuple[str, ...]) -> None:
    ran = wscheck(*arguments)
    assert ran.code == 2
    assert "Usage:" in ran.err and "Traceback" not in ran.said


def test_an_unknown_id_without_similar_ones_names_the_list() -> None:
    ran = wscheck("explain", "zzz")
    assert ran.code == 2
    assert "next: List them all: wscheck rules." in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("typed", "completed"), [("wscheck ver", "verify"), ("wscheck verify --reconn", "--reconnect-on-kick")]
)
def test_shell_completion_completes_commands_and_options(
    shell: str, typed: str, completed: str, tmp_path: Path
) -> None:
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_TYPER_COMPLETE_ARGS": typed}
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_WORD_TO_COMPLETE": typed.rsplit(maxsplit=1)[-1]}
    ran = subprocess.run(
        [Path(sys.executable).with_name("wscheck")],
        env=environment(tmp_path, _WSCHECK_COMPLETE=f"complete_{shell}", **asked, **fish),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed in ran.stdout, ran


def test_completion_scripts_can_be_shown() -> None:
    # Otherwise the shell is guessed from the processes above, and there may be none.
    ran = wscheck("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert (ran.code, "_WSCHECK_COMPLETE" in ran.out or "complete" in ran.out) == (0, True)


def test_ctrl_c_before_results_prints_a_message(tmp_path: Path) -> None:
    """Typer itself would end without a word."""
    program = (
        "import sys, wscheck.config.loading\n"
        "def stopped(flags): raise KeyboardInterrupt\n"
        "wscheck.config.loading.load_config = stopped\n"
        "from wscheck.cli import main\n"
        "sys.argv = ['wscheck', 'config']\n"
        "main()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "wscheck: interrupted\n")


def test_ctrl_c_during_start_ends_with_130(tmp_path: Path) -> None:
    """In the place of typer, a module that is interrupted while it is imported; and while it parses."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    importing = wscheck("verify", PYTHONPATH=f"{tmp_path}:{ROOT}")
    (tmp_path / "typer.py").unlink()
    (tmp_path / "sitecustomize.py").write_text(
        "import typer.core\ndef parse(*arguments): raise KeyboardInterrupt\ntyper.core.TyperGroup.parse_args = parse\n"
    )
    parsing = wscheck("verify", PYTHONPATH=f"{tmp_path}:{ROOT}")
    for ran in (importing, parsing):
        assert (ran.code, ran.out, ran.err) == (130, "", "wscheck: interrupted\n")


def test_a_terminal_without_check_marks_gets_replacements(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(
        '{"time":1795000000000,"msg":"WebSocket client connected","userId":"a","sid":"s"}\n'
    )
    ran = wscheck("tail-logs", "--no-follow", "app.log", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (ran.code, ran.err) == (0, "") and "+ PASSED  1 user, 1 connection" in ran.out
    (tmp_path / "app.log").write_text("WebSocket client connected Ω\nReplacing existing socket for user ID: Ω\n")
    ran = wscheck("tail-logs", "--no-follow", "app.log", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert (ran.code, ran.err) == (1, "") and "x FAILED  1 finding" in ran.out and "who  ?" in ran.out
