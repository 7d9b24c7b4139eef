"""Python API: the functions that `import wscheck` offers (docs/python.md).

Nothing is read from the working folder or the environment unless `config` requests it.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wscheck.config.loading import Config, load_config
from wscheck.model.policy import Connections
from wscheck.model.report import BrowserReport, LogsReport, VerifyReport
from wscheck.model.secrets import Secret
from wscheck.run.background import run_in_thread

ConfigSource = Mapping[str, Any] | Path | str
"""Settings by dotted name ({"verify.window": "1s"}), or the folder that contains wscheck.toml or pyproject.toml."""


def check(
    url: str | None = None,
    *,
    user: str | None = None,
    token: str | Secret | None = None,
    scenarios: Sequence[str] = (),
    connections: Connections | None = None,
    config: ConfigSource | None = None,
) -> VerifyReport:
    """Run the scenarios of `wscheck verify` against a server.

    The scenarios run in an event loop in a separate thread, so callers may have a running event loop.

    Args:
        url: URL of the server. By default, the embedded reference backend is checked.
        user: Id of the user to connect as.
        token: The user's token.
        scenarios: Ids of the scenarios to run, by default all.
        connections: Connections that a user may have: "per-user", "per-tab" or a number.
        config: Further settings.

    Raises:
        UsageError: A setting is invalid.
        CannotCheck: The server is not reachable, or does not speak Socket.IO.
    """
    return run_in_thread(
        acheck(url, user=user, token=token, scenarios=scenarios, connections=connections, config=config)
    )


async def acheck(
    url: str | None = None,
    *,
    user: str | None = None,
    token: str | Secret | None = None,
    scenarios: Sequence[str] = (),
    connections: Connections | None = None,
    config: ConfigSource | None = None,
) -> VerifyReport:
    """Run the scenarios of `wscheck verify` in the running event loop. Arguments and errors are those of `check`."""
    from wscheck.run.verify.plan import plan_verify_run
    from wscheck.run.verify.run import run_verify

    revealed = token.reveal() if isinstance(token, Secret) else token
    loaded = _load(
        config,
        {"target.url": url, "identity.user_id": user, "identity.token": revealed, "policy.connections": connections},
    )
    outcome = await run_verify(plan_verify_run(loaded, scenarios))
    return outcome.report


def read_log(
    log: str | Path | Iterable[str],
    *,
    markers: Sequence[str] = (),
    keys: Sequence[str] = (),
    guess: bool | None = None,
    connections: Connections | None = None,
    config: ConfigSource | None = None,
) -> LogsReport:
    """Evaluate a complete server log, as `wscheck tail-logs --no-follow` does.

    Args:
        log: The path of the log (str or Path), or its lines.
        markers: Markers (text that identifies an event in a log line), each as KIND=TEXT.
        keys: Names of the fields that contain ids, each as FIELD=NAME.
        guess: Whether to read lines in unknown words: True for all, None for those without doubt, False for none.
        connections: Connections that a user may have: "per-user", "per-tab" or a number.
        config: Further settings.

    Raises:
        UsageError: A marker, key or setting is invalid.
        BadEvidence: The log does not exist or cannot be read.
    """
    loaded = _load(config, {"policy.connections": connections})
    if isinstance(log, str | Path):
        return _read_log_file(Path(log), markers, keys, loaded, guess=guess)
    with tempfile.TemporaryDirectory(prefix="wscheck-log-") as folder:
        path = Path(folder, "lines")
        path.write_text("".join(f"{line.rstrip(chr(10))}\n" for line in log), encoding="utf-8")
        report = _read_log_file(path, markers, keys, loaded, guess=guess)
        report.target, report.sources = "lines", ["lines"]
        return report


def _read_log_file(
    path: Path, markers: Sequence[str], keys: Sequence[str], loaded: Config, *, guess: bool | None
) -> LogsReport:
    from wscheck.run.tail.finished import evaluate_finished_logs

    return evaluate_finished_logs([path], loaded, markers=markers, keys=keys, guess=guess)


def read_har(
    *files: str | Path,
    source_maps: Sequence[str | Path] = (),
    connections: Connections | None = None,
    config: ConfigSource | None = None,
) -> BrowserReport:
    """Evaluate HAR files of one application, as `wscheck har` does.

    Args:
        files: HAR files of Chrome's DevTools or of Playwright.
        source_maps: Folders with the .map files of the build.
        connections: Connections that a user may have: "per-user", "per-tab" or a number.
        config: Further settings, for example {"browser.identity": "query.token|jwt:sub"}.

    Raises:
        UsageError: A setting is invalid.
        BadEvidence: A file is missing, truncated or not a HAR file.
    """
    from wscheck.run.har.run import plan_har_run, run_har

    loaded = _load(config, {"policy.connections": connections})
    plan = plan_har_run(loaded, [Path(file) for file in files], [Path(folder) for folder in source_maps])
    return run_har(plan).report


def watch(
    url: str,
    *,
    seconds: float = 5.0,
    cdp: str | None = None,
    connections: Connections | None = None,
    config: ConfigSource | None = None,
) -> BrowserReport:
    """Open a page in a browser and evaluate its connections, as `wscheck browser` does.

    Args:
        url: URL of the page.
        seconds: Time to watch the page.
        cdp: DevTools address of a running browser. By default, a headless Chromium is started.
        connections: Connections that a user may have: "per-user", "per-tab" or a number.
        config: Further settings, for example {"browser.identity": "cookie.session"}.

    Raises:
        UsageError: A setting is invalid.
        CannotCheck: There is no browser, or the page did not load.
    """
    return run_in_thread(awatch(url, seconds=seconds, cdp=cdp, connections=connections, config=config))


async def awatch(
    url: str,
    *,
    seconds: float = 5.0,
    cdp: str | None = None,
    connections: Connections | None = None,
    config: ConfigSource | None = None,
) -> BrowserReport:
    """Open a page in a browser and evaluate its connections. Arguments and errors are those of `watch`."""
    from wscheck.run.browser.run import plan_browser_run, run_browser

    loaded = _load(config, {"browser.for": seconds, "browser.cdp": cdp, "policy.connections": connections})
    outcome = await run_browser(plan_browser_run(loaded, [url], [], []))
    return outcome.report


def _load(config: ConfigSource | None, given: Mapping[str, Any]) -> Config:
    settings = {name: value for name, value in given.items() if value is not None}
    if isinstance(config, str | Path):
        return load_config(settings, directory=Path(config), environ={})
    return load_config({**(config or {}), **settings}, directory=None, environ={})
