"""The scope of a run: what was checked, what was not, and the command that checks the rest."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import wscheck
from tests.report import runs
from tests.report.test_schemas import validator
from tests.run.load.plans import healthy_statistics, load_plan, run_ending, run_progress
from wscheck.config.target import ServerTarget
from wscheck.model.findings import Bar
from wscheck.model.report import Scope
from wscheck.report import REPORTERS, recording
from wscheck.run.compare import compare
from wscheck.run.load.report import evaluate_load_run
from wscheck.run.load.run import compare_before_after
from wscheck.run.verify.run import evaluate_recording
from wscheck.scenarios import SCENARIOS

SCOPE = Scope(checked="the server <b>", not_checked="your frontend", closes_with="wscheck browser URL")
SENTENCE = "Checked: the server <b>. Not checked: your frontend; run `wscheck browser URL`."
WRITTEN: dict[str, Callable[[str], str]] = {
    "terminal": lambda text: text,
    "markdown": lambda text: text.replace("<", "&lt;").replace("`", "\\`"),
    "github": lambda text: text,
    "html": lambda text: re.sub("`(.*?)`", r"<code>\1</code>", text.replace("<b>", "&lt;b&gt;")),
}
HAR = Path(__file__).parents[1] / "data" / "har" / "playwright-fixed.har"


def rendered(name: str, scope: Scope | None) -> str:
    report, events = runs.failing()
    report.scope = scope
    text = REPORTERS[name]()(report, events)
    return " ".join((text if isinstance(text, str) else text.decode()).split())


@pytest.mark.parametrize("name", WRITTEN)
def test_a_format_states_the_scope(name: str) -> None:
    assert WRITTEN[name](SENTENCE) in rendered(name, SCOPE)
    assert "Not checked" not in rendered(name, None)


def test_a_scope_without_a_command_ends_with_what_was_not_checked() -> None:
    scope = Scope(checked="the server", not_checked="the rest")
    assert "Checked: the server. Not checked: the rest." in rendered("terminal", scope)


def test_a_line_of_the_scope_is_no_workflow_command() -> None:
    hostile = Scope(checked="x\n::error::injected", not_checked="y", closes_with="z\n::stop-commands::a")
    report, events = runs.passing()
    report.scope = hostile
    text = REPORTERS["github"]()(report, events)
    assert isinstance(text, str) and "\n::" not in f"\n{text}"


def scope_of(*arguments: str | Path, cwd: Path) -> dict[str, Any]:
    ran = wscheck(*arguments, "--format", "json", cwd=cwd)
    report = json.loads(ran.out)
    validator(report["schema"]).validate(report)
    scope: dict[str, Any] = report["scope"]
    return scope


def test_each_command_names_the_command_that_checks_the_rest(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text('{"time":1,"msg":"WebSocket client connected","userId":"a","sid":"s"}\n')
    (tmp_path / "socket.js").write_text('import { io } from "socket.io-client";\nexport const socket = io("/");\n')
    assert scope_of("tail-logs", "--no-follow", "app.log", cwd=tmp_path)["closes_with"] == "wscheck browser URL"
    assert scope_of("scan", ".", cwd=tmp_path)["not_checked"] == "which components are mounted at the same time"
    assert scope_of("har", HAR, cwd=tmp_path)["checked"] == "the traffic that the browser recorded"


def replayed(tmp_path: Path, target: str, **options: Any) -> Scope | None:
    report, events = runs.passing()
    report.target, report.options = target, options
    path = tmp_path / "run.ndjson"
    path.write_bytes(recording.render(report, events))
    return evaluate_recording(path).report.scope


def test_verify_names_the_server_the_client_and_the_part_of_the_scenarios(tmp_path: Path) -> None:
    chosen = f"({len(runs.passing()[0].scenarios)} of {len(SCENARIOS)} scenarios)"
    assert replayed(tmp_path, "http://chat.example") == Scope(
        checked=f"the server, with wscheck's own client {chosen}",
        not_checked="your frontend",
        closes_with="wscheck browser URL",
    )
    embedded = replayed(tmp_path, "embedded backend")
    assert embedded is not None and embedded.not_checked == "your server and your frontend"
    page = replayed(tmp_path, "http://chat.example", page="http://chat.example/app")
    assert page is not None and page.not_checked == "your other pages"


def test_load_and_its_comparison_have_the_scope_of_the_server() -> None:
    plan = load_plan(profile="unified", embedded=False, target=ServerTarget(url="http://chat.example"))
    run = evaluate_load_run(plan, run_progress(healthy_statistics()), run_ending())
    comparison, _ = compare_before_after(run, run, Bar())
    assert run.report.scope is not None and run.report.scope.checked == "the server, with simulated users"
    assert comparison.scope == run.report.scope
    assert compare(run.report, run.report).scope not in (None, run.report.scope)
