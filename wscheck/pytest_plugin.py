"""pytest plugin: the fixtures `wscheck_server` and `wscheck_page`, and the marker `wscheck` (docs/python.md).

Every pytest run imports this module if wscheck is installed, so it imports the rest of wscheck on first use.
"""

import re
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from wscheck.config.loading import Config
    from wscheck.model.events import AnyEvent
    from wscheck.model.findings import Finding
    from wscheck.model.report import BrowserReport, VerifyReport
    from wscheck.model.secrets import Secret
    from wscheck.run.api import ConfigSource
    from wscheck.run.browser.run import BackgroundWatch

MARKER = "wscheck"
MARKER_HELP = (
    "wscheck(fail_on='error', connections=None, allow=[], config={}): lowest severity that fails the test, connections "
    "that a user may have ('per-user', 'per-tab' or a number), ids of rules whose findings are allowed, and settings "
    "by dotted name or the folder with wscheck.toml."
)
ALLOWED_TITLE = "wscheck: allowed findings"
PORT_OPTION = "--remote-debugging-port"

_WATCH = pytest.StashKey["BackgroundWatch"]()
_ALLOWED = pytest.StashKey[str]()


class ServerCheck(Protocol):
    """Type of the fixture `wscheck_server`."""

    def __call__(
        self,
        url: str | None = None,
        *,
        user: str | None = None,
        token: "str | Secret | None" = None,
        scenarios: Sequence[str] = (),
        config: "ConfigSource | None" = None,
    ) -> "VerifyReport":
        """Run the scenarios of `wscheck verify` and fail the test unless they pass. Arguments as in `wscheck.check`.

        Raises:
            NotPassed: The server has findings, or the evidence is inconclusive.
            UsageError: A setting is invalid.
            CannotCheck: The server is not reachable, or does not speak Socket.IO.
        """


@pytest.fixture
def wscheck_server(request: pytest.FixtureRequest) -> ServerCheck:
    """Function that checks a server as `wscheck verify` does: `wscheck_server("http://localhost:3000")`.

    Without a URL it checks the embedded reference backend. It fails the test unless every scenario passes.
    """
    item: pytest.Item = request.node

    def check(
        url: str | None = None,
        *,
        user: str | None = None,
        token: "str | Secret | None" = None,
        scenarios: Sequence[str] = (),
        config: "ConfigSource | None" = None,
    ) -> "VerifyReport":
        __tracebackhide__ = True
        from wscheck.model.errors import WscheckError
        from wscheck.model.secrets import Secret

        revealed = token.reveal() if isinstance(token, Secret) else token
        given = {"target.url": url, "identity.user_id": user, "identity.token": revealed}
        try:
            report, events = _run_verify(item, given, scenarios, config)
        except WscheckError as error:
            raise error.with_traceback(None) from None
        if text := _failure_text(report, events):
            from wscheck.model.report import NotPassed

            raise NotPassed(report, text)
        return report

    return check


@pytest.fixture
def wscheck_page(_wscheck_watch: "BackgroundWatch", page: "Page") -> "Page":
    """The `page` of pytest-playwright, watched: its test fails if a page opens duplicate connections.

    All pages that the test opens in the browser are watched. The test is skipped in Firefox and WebKit.
    """
    return page


@pytest.fixture
def _wscheck_watch(request: pytest.FixtureRequest, browser: "Browser") -> "Generator[BackgroundWatch]":
    """The observation of pytest-playwright's browser. It starts before the test opens its page."""
    from wscheck.model.errors import WscheckError

    item: pytest.Item = request.node
    if browser.browser_type.name != "chromium":
        pytest.skip(f"wscheck_page watches Chromium only, not {browser.browser_type.name}")
    try:
        from wscheck.run.browser.run import BackgroundWatch

        watch = BackgroundWatch(_load(item, {"browser.cdp": _devtools_url(browser)}))
    except WscheckError as error:
        _fail(error)
    item.stash[_WATCH] = watch
    yield watch
    if _detach_watch(item) is not None:
        watch.finish(settle=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `wscheck`."""
    config.addinivalue_line("markers", MARKER_HELP)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: "pytest.FixtureDef[Any]", request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Add the debugging port to pytest-playwright's browser, if a test of this run uses `wscheck_page`.

    Replacing the fixture `browser_type_launch_args` would depend on the order in which plugins are loaded, and would be
    lost where a conftest.py returns `args` of its own.
    """
    result = yield
    if fixturedef.argname != "launch_browser" or not _page_is_watched(request.session):
        return result
    if request.getfixturevalue("browser_name") != "chromium":
        return result
    launcher = _with_debugging_port(result, request.getfixturevalue("browser_type_launch_args"))
    if fixturedef.cached_result is not None:
        fixturedef.cached_result = (launcher, fixturedef.cached_result[1], None)
    return launcher


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test whose watched pages have findings. If it fails for another reason, show them in a section."""
    try:
        result = yield
    except BaseException:
        if (watch := _detach_watch(item)) is not None:
            report, events = _page_report(item, watch, settle=False)
            if report.findings:
                item.add_report_section("call", MARKER, _failure_text(report, events))
        raise
    if (watch := _detach_watch(item)) is not None and (text := _failure_text(*_page_report(item, watch, settle=True))):
        pytest.fail(text, pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the findings that the test's marker allows to the test's report."""
    report = yield
    if call.when == "call" and (text := item.stash.get(_ALLOWED, "")):
        report.sections.append((ALLOWED_TITLE, text))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the allowed findings of tests that passed; pytest shows those of tests that failed."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    passed = [report for report in reports if isinstance(report, pytest.TestReport) and not report.failed]
    sections = [(one.nodeid, text) for one in passed for title, text in one.sections if title == ALLOWED_TITLE]
    if sections:
        terminalreporter.section(ALLOWED_TITLE)
        for nodeid, text in sections:
            terminalreporter.line(nodeid, bold=True)
            terminalreporter.line(text)


def _fail(error: Exception) -> NoReturn:
    pytest.fail(str(error), pytrace=False)


# Marker


def _marker_options(item: pytest.Item) -> dict[str, Any]:
    """Return the arguments of the test's `wscheck` markers.

    The values of `allow` in all markers are combined. For other arguments, the marker closest to the test wins.

    Raises:
        UsageError: A marker has an unknown argument, or allows an unknown rule.
    """
    from wscheck.config.allow_list import check_rule_ids
    from wscheck.model.errors import UsageError

    options: dict[str, Any] = {"fail_on": None, "connections": None, "config": None, "allow": []}
    for marker in item.iter_markers(MARKER):
        if marker.args or not marker.kwargs.keys() <= options.keys():
            unknown = ", ".join(sorted(marker.kwargs.keys() - options.keys())) or repr(marker.args[0])
            raise UsageError(
                f"@pytest.mark.wscheck does not take {unknown}.", "Use fail_on=, connections=, allow= and config=."
            )
        allowed = marker.kwargs.get("allow", [])
        options["allow"] += [allowed] if isinstance(allowed, str) else allowed
        for name in ("fail_on", "connections", "config"):
            if options[name] is None:
                options[name] = marker.kwargs.get(name)
    check_rule_ids(options["allow"])
    return options


def _load(item: pytest.Item, given: dict[str, Any], config: "ConfigSource | None" = None) -> "Config":
    """Return the configuration for the check in a test.

    given   settings that the test passed as arguments: dict of name to value; they take precedence over all others
    config  settings that take precedence over those of the test's marker; a path is relative to pytest's rootdir
    """
    import msgspec

    from wscheck.config.loading import load_config
    from wscheck.model.allow_list import AllowEntry

    options = _marker_options(item)
    settings = {"verify.fail_on": options["fail_on"], "policy.connections": options["connections"]}
    folder = None
    for source in (options["config"], config):
        if isinstance(source, str | Path):
            folder = item.config.rootpath / source
        else:
            settings.update(source or {})
    settings.update({name: value for name, value in given.items() if value is not None})
    loaded = load_config(settings, directory=folder, environ={})
    entries = tuple(AllowEntry(rule=rule, reason="allowed by the marker of the test") for rule in options["allow"])
    allow = msgspec.structs.replace(loaded.allow, entries=(*entries, *loaded.allow.entries))
    return msgspec.structs.replace(loaded, allow=allow)


# Runs


def _run_verify(
    item: pytest.Item, given: dict[str, Any], scenarios: Sequence[str], config: "ConfigSource | None"
) -> "tuple[VerifyReport, Sequence[AnyEvent]]":
    from wscheck.run.background import run_in_thread
    from wscheck.run.verify.plan import plan_verify_run
    from wscheck.run.verify.run import run_verify

    plan = plan_verify_run(_load(item, given, config), scenarios)
    outcome = run_in_thread(run_verify(plan))
    _store_allowed(item, outcome.report, outcome.events)
    return outcome.report, outcome.events


def _page_report(
    item: pytest.Item, watch: "BackgroundWatch", *, settle: bool
) -> "tuple[BrowserReport, Sequence[AnyEvent]]":
    from wscheck.model.errors import WscheckError

    try:
        outcome = watch.finish(settle=settle)
    except WscheckError as error:
        _fail(error)
    _store_allowed(item, outcome.report, outcome.events)
    return outcome.report, outcome.events


def _store_allowed(item: pytest.Item, report: "VerifyReport | BrowserReport", events: "Sequence[AnyEvent]") -> None:
    """Store the allowed findings of `report` for a section of the test's report."""
    if report.allowed:
        text = _findings_text(report.allowed, events)
        item.stash[_ALLOWED] = "\n".join(filter(None, [item.stash.get(_ALLOWED, ""), text]))


def _detach_watch(item: pytest.Item) -> "BackgroundWatch | None":
    """Return the observation of the test's pages and forget it, so that only one caller evaluates it.

    Return None if there is none, or if it was returned before.
    """
    watch = item.stash.get(_WATCH, None)
    if watch is not None:
        del item.stash[_WATCH]
    return watch


# Browser


def _page_is_watched(session: pytest.Session) -> bool:
    return any("wscheck_page" in getattr(item, "fixturenames", ()) for item in session.items)


def _with_debugging_port(launch: "Callable[..., Browser]", launch_args: dict[str, Any]) -> "Callable[..., Browser]":
    """Return a function that calls `launch`, and adds a debugging port to the browser's arguments if they have none."""

    def launch_with_port(**options: Any) -> "Browser":
        arguments = list(options.get("args") or launch_args.get("args") or ())
        if not any(argument.startswith(PORT_OPTION) for argument in arguments):
            arguments.append(f"{PORT_OPTION}=0")
        return launch(**{**options, "args": arguments})

    return launch_with_port


def _devtools_url(browser: "Browser") -> str:
    """Return the DevTools URL of a browser that pytest-playwright launched.

    Chromium writes a port that it chose itself to the file DevToolsActivePort in its profile. SystemInfo.getInfo
    returns the browser's command line, which contains the path of the profile.

    Raises:
        CannotCheck: The browser has no debugging port, or runs on another machine.
    """
    from wscheck.model.errors import CannotCheck

    session = browser.new_browser_cdp_session()
    command_line = str(session.send("SystemInfo.getInfo")["commandLine"])
    session.detach()
    ports = re.findall(rf"{PORT_OPTION}=(\d+)", command_line)
    profile = re.search(r"--user-data-dir=(.+?)(?= --|$)", command_line)
    if ports and ports[-1] != "0":
        return f"http://127.0.0.1:{ports[-1]}"
    active_port = Path(profile[1].strip('"'), "DevToolsActivePort") if profile is not None else Path()
    if not ports or not active_port.is_file():
        raise CannotCheck(
            "The browser has no debugging port that wscheck_page can read.",
            f"Use pytest-playwright's own `browser` on this machine, or pass {PORT_OPTION}=9222 in its args.",
        )
    port, path, *_ = active_port.read_text(encoding="utf-8").split()
    return f"ws://127.0.0.1:{port}{path}"


# Text


def _failure_text(report: "VerifyReport | BrowserReport", events: "Sequence[AnyEvent]") -> str:
    """Return why the report is not passed: its reason, findings and the next command; "" if it passed."""
    from wscheck.model.findings import Verdict
    from wscheck.model.report import BrowserReport
    from wscheck.report.summary import headline, next_command

    if report.verdict is Verdict.PASSED:
        return ""
    if report.verdict is not Verdict.FAILED or not report.findings:
        options = dict.fromkeys(gap.closes_with for gap in report.gaps if gap.blocks and gap.closes_with)
        pages = ", ".join(page.url for page in report.pages) if isinstance(report, BrowserReport) else report.target
        lines = [
            f"wscheck could not check {pages or 'the page'}: {headline(report)}",
            *(f"  add {one}" for one in options),
        ]
        return "\n".join(lines)
    next_line = f"next  {next_command(report)}"
    return "\n".join([headline(report), "", _findings_text(report.findings, events), "", next_line])


def _findings_text(findings: "Sequence[Finding]", events: "Sequence[AnyEvent]") -> str:
    """Return each problem: its rules and messages, then user, openers, cause and fix."""
    from wscheck.report.finding_text import OpenerIndex, group_by_problem, group_messages, labelled_facts

    index, lines = OpenerIndex(events), []
    for problem in group_by_problem(findings):
        for group in problem:
            lines.append(f"{group.finding.rule} ({group.finding.severity}, {group.finding.confidence} confidence)")
            lines += [f"  {message}" + (f" ({scope})" if scope else "") for message, scope in group_messages(group)]
        finding = max((group.finding for group in problem), key=lambda each: len(index.openers_for(each)))
        facts = labelled_facts(finding, index.openers_for(finding))
        width = max((len(label) for label, _ in facts), default=0)
        lines += [f"  {label:<{width}}  {text}" for label, text in facts]
    return "\n".join(lines)
