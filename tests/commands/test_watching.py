"""`--watch`: which changes repeat a run, and what a repeated run prints."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.report import runs
from wscheck.commands import watching
from wscheck.commands.watching import changed_files, finish_run, run_on_change, take_snapshot
from wscheck.model.errors import UsageError
from wscheck.model.events import AnyEvent
from wscheck.model.report import Report
from wscheck.report.formats import ReportOutput


class Outcome:
    def __init__(self, made: tuple[Report, list[AnyEvent]]) -> None:
        self.report, self.events = made


def ended() -> Outcome:
    outcome = Outcome(runs.passing())
    outcome.report.interrupted = True
    return outcome


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE_S", 0.001)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_source_files_are_watched(tmp_path: Path) -> None:
    seen = [write(tmp_path / name, "1") for name in ("src/App.tsx", "server.py", "wscheck.toml", "dist/app.js")]
    report = write(tmp_path / "reports" / "run.html", "1")
    for name in ("server.log", "run.json", "node_modules/x/a.js", ".next/page.js", "venv/a.py"):
        write(tmp_path / name, "1")
    (tmp_path / "broken.js").symlink_to(tmp_path / "missing")
    assert sorted(take_snapshot(tmp_path, [report])) == sorted(map(str, seen))


def test_added_changed_and_removed_files_are_changes(tmp_path: Path) -> None:
    kept, changed, removed = (write(tmp_path / f"{name}.js", "1") for name in ("kept", "changed", "removed"))
    before = take_snapshot(tmp_path)
    added = write(tmp_path / "added.js", "1")
    changed.write_text("12")
    removed.unlink()
    found = changed_files(before, take_snapshot(tmp_path))
    assert found == sorted(map(str, (added, changed, removed))) and str(kept) not in found


def sequence(source: Path, *steps: Callable[[], Outcome]) -> Callable[[], Outcome]:
    """Return a run that takes one step after the other, and changes the source file while it runs."""
    waiting = list(steps)

    def run() -> Outcome:
        source.write_text("x" * len(waiting))
        return waiting.pop(0)()

    return run


def fail_to_start() -> Outcome:
    raise UsageError("wscheck.toml:1: This is no TOML.", "Correct it.")


def test_a_run_is_repeated_until_it_is_interrupted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "src.js", "")
    json, terminal = ReportOutput("json", tmp_path / "run.json"), ReportOutput("terminal")
    steps = (lambda: Outcome(runs.failing()), fail_to_start, lambda: Outcome(runs.passing()), ended)
    with pytest.raises(KeyboardInterrupt):
        run_on_change(sequence(source, *steps), [terminal, json], tmp_path)
    out, err = capsys.readouterr()
    first, _, later = out.partition("changed: ")
    assert "✗ FAILED" in first and "gone" not in first
    assert "✓ gone  multiple-connections" in later and "PASSED (before: failed)" in later
    assert "✗ FAILED" not in later, "the whole report was printed again"
    assert "This is no TOML. Correct it." in err
    assert '"interrupted": true' in (tmp_path / "run.json").read_text()


def test_a_format_other_than_the_terminal_needs_a_file() -> None:
    with pytest.raises(UsageError, match="`json` needs a file"):
        finish_run(fail_to_start, [ReportOutput("json")], watch=True)
