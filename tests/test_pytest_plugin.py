"""pytest plugin: runs of pytest with tests that use its fixtures and its marker."""

import importlib.util
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import refuse
from tests.node_backend import Backend
from tests.pages import served

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
HOOKS = ("src/hooks/useBotWebSocket.ts:12:20", "src/hooks/useWhatsAppConnection.ts:13:20")
INTERNALS = ("wscheck/run/", "pytest_plugin.py:", "Traceback")

SERVER = """
    import pytest

    CONFIG = {"verify.window": "300ms", "verify.client": "per-component"}
"""

CONFTEST = """
    import shutil, pytest

    @pytest.fixture(scope="session")
    def browser_type_launch_args(browser_type_launch_args):
        return {**browser_type_launch_args, "executable_path": shutil.which("chromium"), "args": ["--no-sandbox"]}
"""


def run_tests(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    """Run the tests in `source` with this plugin and no other installed one."""
    pytester.makepyfile(test_it=source)
    pytester.makeini("[pytest]\naddopts = --strict-markers\n")
    return pytester.runpytest_subprocess("-p", "wscheck.pytest_plugin", *arguments, timeout=90)


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "160")


def test_the_plugin_is_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"wscheck": "wscheck.pytest_plugin"}


def test_importing_the_plugin_loads_no_library() -> None:
    code = "import pytest, sys, json; old = {*sys.modules}; import wscheck.pytest_plugin\n"
    code += "print(json.dumps([*{*sys.modules} - old]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert {*json.loads(ran.stdout)} == {"wscheck", "wscheck.pytest_plugin"}


def test_a_server_with_the_fault_fails_the_test_with_the_finding(pytester: pytest.Pytester) -> None:
    result = run_tests(
        pytester,
        SERVER
        + """
    def test_server(wscheck_server):
        wscheck_server(scenarios=["single-connection"], config=CONFIG)
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*wscheck_server(scenarios=*",
            "E*multiple-connections (error, high confidence)",
            "E*one page opened 2 connections: one by *",
            "E*  who *",
            "E*  opened by  *",
            "E*  cause *",
            "E*  fix *",
            "E*next  wscheck explain *",
            "FAILED *::test_server - wscheck.NotPassed: *one page opened 2 connections*",
        ]
    )
    assert not any(name in result.stdout.str() for name in INTERNALS), result.stdout.str()


def test_a_healthy_server_passes_and_an_unreachable_one_is_an_error_of_its_own(pytester: pytest.Pytester) -> None:
    result = run_tests(
        pytester,
        """
    import pytest, wscheck

    pytestmark = pytest.mark.filterwarnings("error")

    @pytest.mark.wscheck(config={"verify.window": "100ms"})
    def test_healthy(wscheck_server):
        report = wscheck_server(scenarios=["single-connection"])
        assert [one.id for one in report.scenarios] == ["single-connection"]

    def test_unreachable(wscheck_server):
        with pytest.raises(wscheck.CannotCheck, match="127.0.0.1:9"):
            wscheck_server("http://127.0.0.1:9")
""",
    )
    result.assert_outcomes(passed=2)


def test_allowed_findings_are_shown_and_do_not_fail(pytester: pytest.Pytester) -> None:
    result = run_tests(
        pytester,
        SERVER
        + """
    pytestmark = pytest.mark.wscheck(config=CONFIG, allow=["multiple-connections", "connection-replaced"])

    @pytest.mark.wscheck(allow=["excessive-attempts"])
    def test_all_allowed(wscheck_server):
        report = wscheck_server(scenarios=["single-connection"])
        assert report.verdict == report.scenarios[0].verdict == "passed" and not report.findings

    @pytest.mark.wscheck(config={"rules.max_attempts": "1/10s", "verify.reconnect_on_kick": "50ms", **CONFIG})
    def test_one_not_allowed(wscheck_server):
        wscheck_server(scenarios=["single-connection"])
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*excessive-attempts (error*",
            "*wscheck: allowed findings*",
            "multiple-connections (error, high confidence)",
            "*wscheck: allowed findings*",
            "*::test_all_allowed",
            "multiple-connections (error, high confidence)",
            "  fix *",
        ]
    )


WRONG_MARKERS = {
    'allow=["multiple-conections"]': "There is no rule `multiple-conections`. Did you mean `multiple-connections`*",
    'fail_on="eror"': "`verify.fail_on`: 'eror' is not one of error, warning, note*",
    "allowed=[]": "@pytest.mark.wscheck does not take allowed*",
    'config={"verify.windw": "1s"}': "There is no setting `verify.windw`. Did you mean `verify.window`*",
    'config="."': "*wscheck.toml:2: 'soon' is not a duration*",
}
"""Arguments of the marker, and the message about each. Settings of a folder are read on request."""


def test_wrong_markers_and_settings_are_named(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("wscheck.toml").write_text("[verify]\nwindow = 'soon'\n")
    tests = [
        f"""
    @pytest.mark.wscheck({marker})
    def test_{number}(wscheck_server):
        wscheck_server(scenarios=["single-connection"])
"""
        for number, marker in enumerate(WRONG_MARKERS)
    ]
    result = run_tests(pytester, "\n    import pytest\n" + "".join(tests))
    result.assert_outcomes(failed=len(WRONG_MARKERS))
    for number, message in enumerate(WRONG_MARKERS.values()):
        result.stdout.fnmatch_lines([f"*_ test_{number} _*", f"E*{message}"])
    assert not any(name in result.stdout.str() for name in INTERNALS), result.stdout.str()


# Pages


@pytest.fixture(scope="module")
def pages() -> Iterator[Backend]:
    if importlib.util.find_spec("pytest_playwright") is None:
        refuse("needs pytest-playwright")
    with served("prod") as backend:
        yield backend


def run_page_tests(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    """Run tests of pages with this plugin, pytest-playwright and the Chromium on PATH."""
    pytester.makeconftest(CONFTEST)
    return run_tests(pytester, source, "-p", "pytest_playwright.pytest_playwright", *arguments)


def test_a_page_with_duplicate_connections_fails_its_test(pytester: pytest.Pytester, pages: Backend) -> None:
    result = run_page_tests(
        pytester,
        f"""
    import pytest

    def watch_broken(page, query=""):
        # Both hooks have connected at the second handshake.
        handshakes = []
        page.on("request", lambda request: handshakes.append("EIO=" in request.url and "sid=" not in request.url))
        page.goto("{pages.url}/broken.html" + query)
        while sum(handshakes) < 2:
            page.wait_for_timeout(50)

    def test_healthy(wscheck_page):
        wscheck_page.goto("{pages.url}/fixed.html")

    def test_duplicate(wscheck_page):
        watch_broken(wscheck_page)

    def test_duplicate_in_another_tab(wscheck_page, context):
        wscheck_page.goto("{pages.url}/fixed.html?user=ann")
        watch_broken(context.new_page(), "?user=ben")

    @pytest.mark.wscheck(allow=["multiple-connections", "connection-replaced", "excessive-attempts"])
    def test_allowed(wscheck_page):
        watch_broken(wscheck_page)

    def test_not_watched(page):
        page.goto("{pages.url}/broken.html")

    def test_fails_itself(wscheck_page):
        watch_broken(wscheck_page)
        assert wscheck_page.title() == "another"

    def test_no_connection(wscheck_page):
        wscheck_page.goto("about:blank")
""",
    )
    result.assert_outcomes(passed=3, failed=4)
    text = result.stdout.str()
    assert all(hook in text for hook in HOOKS)
    result.stdout.fnmatch_lines(
        [
            "*_ test_duplicate?chromium? _*",
            "user_123: * connections*",
            "multiple-connections (error, high confidence)",
            "  who        user_123",
            "  opened by  useBotWebSocket at src/hooks/useBotWebSocket.ts:12:20*",
            "  cause      two components each open a connection*",
            "  fix        Open the connection in one module or provider*",
            "next  wscheck explain two-openers",
            "*_ test_duplicate_in_another_tab?chromium? _*",
            "ben: * connections*",
            "*_ test_fails_itself?chromium? _*",
            "*Captured wscheck call*",
            "user_123: * connections*",
            "*_ test_no_connection?chromium? _*",
            "wscheck could not check the page: no real-time connection was seen*",
            "*wscheck: allowed findings*",
            "*::test_allowed*",
            "FAILED *::test_duplicate?chromium? - *user_123: * connections*",
        ]
    )
    assert not any(name in text for name in INTERNALS), text
