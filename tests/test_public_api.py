"""Public names of the package: complete, typed, and imported on first use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import wscheck
from wscheck.model.findings import Finding, Verdict


def test_every_public_name_resolves() -> None:
    names = [name for name in dir(wscheck) if name != "__version__"]
    assert {"check", "acheck", "read_log", "read_har", "watch", "Judge", "Finding", "Gap", "NotPassed"} <= set(names)
    assert all(getattr(wscheck, name).__name__ == name for name in names)
    assert wscheck.Finding is Finding


def test_type_checkers_see_the_names_that_exist() -> None:
    source = Path(wscheck.__file__).read_text(encoding="utf-8")
    assert all(f"import {name} as {name}\n" in source for name in dir(wscheck) if name != "__version__")
    assert Path(wscheck.__file__).with_name("py.typed").is_file()


def test_an_unknown_name_raises_an_attribute_error() -> None:
    unknown = "chekc"
    with pytest.raises(AttributeError, match="module 'wscheck' has no attribute 'chekc'"):
        getattr(wscheck, unknown)


def test_importing_wscheck_loads_no_other_module() -> None:
    code = "import sys, json; old = {*sys.modules}; import wscheck; print(json.dumps([*{*sys.modules} - old]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(ran.stdout) == ["wscheck"]


def test_nothing_is_read_from_the_folder_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wscheck.toml").write_text("[verify]\nwindow = 'soon'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSCHECK_GRACE", "never")
    line = '{"time":1795000000000,"msg":"WebSocket client connected","userId":"a","socketId":"s"}'
    assert wscheck.read_log([line]).verdict is Verdict.PASSED
    with pytest.raises(wscheck.UsageError, match=r"wscheck.toml:2: 'soon' is not a duration"):
        wscheck.read_log([line], config=tmp_path)


def test_a_log_in_other_words_is_read_as_the_command_reads_it() -> None:
    lines = [
        f"2026-04-02T10:11:0{number}.000Z User {user} {word} with socket id 7VDLm2Q9xRt4KpWzAA0{user}"
        for number, (user, word) in enumerate((user, word) for user in "123" for word in ("connected", "disconnected"))
    ]
    assert wscheck.read_log(lines).verdict is Verdict.PASSED
    assert wscheck.read_log(lines, guess=False).verdict is Verdict.INCONCLUSIVE


def test_an_error_names_the_setting() -> None:
    with pytest.raises(wscheck.UsageError, match=r"^`rules\.grace`: 'soon' is not a duration"):
        wscheck.read_log([], config={"rules.grace": "soon"})
    with pytest.raises(wscheck.UsageError, match=r"There is no setting `rules\.grcae`. Did you mean `rules\.grace`"):
        wscheck.read_log([], config={"rules.grcae": "1s"})


async def test_check_works_while_a_loop_is_running() -> None:
    report = wscheck.check(scenarios=["single-connection"], config={"verify.window": "100ms"})
    assert report.verdict is Verdict.PASSED


async def test_acheck_reports_the_documented_fault() -> None:
    report = await wscheck.acheck(
        scenarios=["single-connection"], config={"verify.client": "per-component", "verify.window": "300ms"}
    )
    with pytest.raises(wscheck.NotPassed, match="multiple-connections") as raised:
        report.assert_passed()
    assert raised.value.report is report
    assert "fix: " in str(raised.value)


def test_a_log_without_connections_is_inconclusive_and_names_the_gap() -> None:
    report = wscheck.read_log(["nothing to see"])
    assert report.verdict is Verdict.INCONCLUSIVE
    assert any(gap.blocks for gap in report.gaps) and report.gaps[0].reason == report.reason
    with pytest.raises(AssertionError, match="inconclusive"):
        report.assert_passed()
