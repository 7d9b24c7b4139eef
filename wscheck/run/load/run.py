"""Load run: check the limits, start the target and Locust, read the stream of Locust, and report."""

import asyncio
import importlib.util
import os
import re
import site
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

import wscheck
from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.config.target import Credentials
from wscheck.detect.verdict import Decision, Ground
from wscheck.model.comparison import CompareReport
from wscheck.model.errors import CannotCheck, MissingExtra, UsageError, WscheckError
from wscheck.model.findings import Bar, Verdict
from wscheck.model.secrets import Secret
from wscheck.observe.client.preflight import first_contact, server_problem
from wscheck.report.load_figures import format_counts
from wscheck.run.compare import compare
from wscheck.run.load.backend_process import EmbeddedBackendProcess, embedded_backend
from wscheck.run.load.child_process import ChildProcess, start_process
from wscheck.run.load.plan import LoadPlan, check_limits, system_limits
from wscheck.run.load.progress_stream import LineReader, RunProgress
from wscheck.run.load.report import Ending, LoadOutcome, evaluate_load_run

PROFILE_BEFORE, PROFILE_AFTER = "duplicated", "unified"
"""Profiles of the two runs of --before-after."""

STORM_PROFILE = "storm"
"""Profile whose users reconnect after a restart of the server. The load run restarts the embedded backend."""

RESTART_AFTER_S = 3.0
"""Earliest time of the restart, in seconds after the start. All users must be connected by then."""

RESTART_AT_LATEST = 1 / 3
"""Latest time of the restart, as a fraction of the run time."""

START_TIMEOUT_S = 60.0
"""Time in which Locust must import its libraries, start its workers and wait for them (seconds)."""

END_TIMEOUT_S = 45.0
"""Time in which Locust must end after the run time (seconds).

It closes all connections, collects the last reports and writes its outputs.
"""

MIN_REFUSALS, MIN_REFUSALS_S = 20, 3.0
"""Number of refusals, and seconds, after which a run without any connection ends early.

All further attempts would be refused as well.
"""

_POLL_INTERVAL_S = 0.1
_MAX_OUTPUT_LENGTH = 300
_SETUP_ERROR = re.compile(r"^(?:.*/ERROR/.*: )?wscheck: (.+)$", re.MULTILINE)
"""Pattern of the line in which the Locust process reports an option that it cannot use."""

ProgressCallback = Callable[[RunProgress, float], None]
"""Function that is called several times a second with the progress and the seconds since the start."""

LOCUSTFILE = Path(wscheck.__file__).parent / "loadgen" / "locustfile.py"


async def run_load(plan: LoadPlan, on_progress: ProgressCallback = lambda progress, at: None) -> LoadOutcome:
    """Run `plan` and return the report.

    If the run is cancelled (Ctrl-C), stop Locust and report what was counted until then.

    Raises:
        CannotCheck: The run exceeds the limits of the machine, or the target or Locust does not start.
        UsageError: Locust is not installed, or the Locust process cannot use an option.
    """
    require_locust()
    check_limits(plan, system_limits(plan))
    with tempfile.TemporaryDirectory(prefix="wscheck-load-") as folder:
        async with _start_target(plan, Path(folder)) as (plan_with_url, backend):
            return await _run_locust(plan_with_url, Path(folder), on_progress, backend)


def before_after_plans(plan: LoadPlan) -> tuple[LoadPlan, LoadPlan]:
    """Return the plans of the two runs of --before-after. Thresholds apply only to the second run."""
    before = msgspec.structs.replace(plan.with_profile(PROFILE_BEFORE), limits={})
    return before, plan.with_profile(PROFILE_AFTER)


def compare_before_after(before: LoadOutcome, after: LoadOutcome, bar: Bar) -> tuple[CompareReport, Decision]:
    """Return the comparison of the two runs of --before-after, and the reasons for its verdict.

    If the second run did not pass, the comparison does not pass either.
    """
    comparison = compare(before.report, after.report, bar)
    comparison.findings = after.report.findings
    comparison.options, comparison.scope = after.report.options, after.report.scope
    if after.decision.verdict is Verdict.PASSED:
        return comparison, Decision(verdict=comparison.verdict, reason=comparison.reason, ground=Ground.PART)
    comparison.verdict = after.decision.verdict
    comparison.reason = f"the run after is {after.decision.verdict}: {after.decision.reason}"
    return comparison, after.decision


def require_locust() -> None:
    """Raise MissingExtra if Locust is not installed. The error contains the command that installs it."""
    if importlib.util.find_spec("locust") is None:
        raise MissingExtra("`wscheck load` runs Locust, which is not installed here.", "load")


@asynccontextmanager
async def _start_target(plan: LoadPlan, folder: Path) -> AsyncIterator[tuple[LoadPlan, EmbeddedBackendProcess | None]]:
    """Yield the plan with the URL of a running server: the given URL, or that of a new embedded backend."""
    if not plan.embedded:
        ca_file = plan.options.get("ca_file")
        target, _ = await first_contact(plan.target, _probe_user(plan), plan.redactor, ca_file)
        yield plan.with_target(target), None
        return
    async with embedded_backend(folder, plan.target.namespace, plan.target.path) as backend:
        target = msgspec.structs.replace(plan.target, url=backend.url)
        yield msgspec.structs.replace(plan, target=target), backend


def _probe_user(plan: LoadPlan) -> Credentials:
    """Return the user with whom the server is tested before and after the run.

    Each test is an Engine.IO handshake. The handshake contains the user only if the server expects the user in it.
    """
    user = f"{plan.options.get('user_prefix') or 'load-user-'}1"
    return Credentials(user, Secret(plan.token.reveal().replace("{user}", user)) if plan.token is not None else None)


@dataclass
class _RunningLoad:
    """State of a run. `started_at` is None until the stream reports that Locust has started the users."""

    plan: LoadPlan
    locust: ChildProcess
    stream: LineReader
    on_progress: ProgressCallback
    backend: EmbeddedBackendProcess | None
    progress: RunProgress = field(default_factory=RunProgress)
    launched_at: float = field(default_factory=time.monotonic)
    started_at: float | None = None
    failure: str = ""
    interrupted: bool = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the run."""
        return time.monotonic() - self.started_at if self.started_at is not None else 0.0

    def read_stream(self) -> None:
        """Read the new lines of the stream."""
        for line in self.stream.new_lines():
            self.progress.add_line(line)
        if self.started_at is None and self.progress.run is not None:
            self.started_at = time.monotonic()


async def _run_locust(
    plan: LoadPlan, folder: Path, on_progress: ProgressCallback, backend: EmbeddedBackendProcess | None
) -> LoadOutcome:
    launched_at = time.time()
    process = start_process(locust_command(plan), folder / "locust.log", locust_environment(plan, folder), folder)
    async with process as locust:
        run = _RunningLoad(plan, locust, LineReader(folder / "stream.ndjson"), on_progress, backend)
        try:
            run.failure = await _follow(run)
        except asyncio.CancelledError:
            run.interrupted = True
        ending = await _finish_despite_cancellation(run, _end(run, launched_at))
    return evaluate_load_run(plan, run.progress, ending)


async def _finish_despite_cancellation(run: _RunningLoad, ending: Coroutine[Any, Any, Ending]) -> Ending:
    """Await the coroutine `ending`, which ends the run and returns how it ended, even if Ctrl-C is pressed meanwhile.

    The end of a run takes a short time. Without it, the report would contain no figures.
    """
    task = asyncio.ensure_future(ending)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            run.interrupted = True


async def _end(run: _RunningLoad, launched_at: float) -> Ending:
    """Stop Locust if it still runs, test whether the server still answers, and return how the run ended.

    Raises:
        WscheckError: The run never started.
    """
    await _stop(run)
    progress = run.progress
    if not run.failure and progress.ended is None and not run.interrupted:
        run.failure = f"Locust ended before the run did{_last_error(run.locust, run.plan)}"
    if progress.run is None and run.failure:
        raise _start_error(run.failure, run.locust, run.plan)
    lost = "" if run.interrupted else await _probe_failure(run.plan)
    server = await run.backend.final_counts() if run.backend is not None and not run.interrupted else None
    return Ending(
        started_at=progress.run.started_at if progress.run else launched_at,
        duration_s=time.time() - launched_at,
        interrupted=run.interrupted,
        broken=run.failure,
        lost=lost,
        server=server,
    )


async def _follow(run: _RunningLoad) -> str:
    """Wait until the run ends. Return the reason if it ended early, "" otherwise."""
    will_restart = run.backend is not None and run.plan.profile == STORM_PROFILE
    while run.progress.ended is None and not run.locust.has_ended:
        await asyncio.sleep(_POLL_INTERVAL_S)
        run.read_stream()
        run.on_progress(run.progress, run.elapsed_s)
        if reason := _reason_to_stop(run):
            return reason
        if will_restart and run.backend is not None and _is_time_to_restart(run):
            will_restart = False
            await run.backend.restart()
    return ""


def _is_time_to_restart(run: _RunningLoad) -> bool:
    """Return whether to restart the backend now, so that the users reconnect during the rest of the run."""
    all_connected = run.progress.statistics.connects >= run.plan.users and run.elapsed_s > RESTART_AFTER_S
    return all_connected or run.elapsed_s > run.plan.run_time_s * RESTART_AT_LATEST


def _reason_to_stop(run: _RunningLoad) -> str:
    plan, progress = run.plan, run.progress
    if run.started_at is None:
        is_late = time.monotonic() - run.launched_at > START_TIMEOUT_S
        return f"Locust did not start the run within {START_TIMEOUT_S:g} s" if is_late else ""
    if run.elapsed_s > plan.run_time_s + END_TIMEOUT_S:
        return f"Locust did not end within {END_TIMEOUT_S:g} s after its run time"
    # The totals are some seconds old, or older with workers. A run that is nearly over may end by itself.
    is_early = MIN_REFUSALS_S < run.elapsed_s < plan.run_time_s - MIN_REFUSALS_S
    if is_early and not progress.statistics.connects and progress.refusals >= MIN_REFUSALS:
        kinds = plan.redactor.redact(format_counts(progress.statistics.refused))
        return f"nothing connected: the first {progress.refusals:,} attempts were refused ({kinds})"
    return ""


async def _stop(run: _RunningLoad) -> None:
    """Terminate Locust if the run has not ended, wait for the process to end, and read the rest of the stream."""
    if run.progress.ended is None:
        run.locust.terminate()
    await run.locust.wait(END_TIMEOUT_S / 3)
    run.read_stream()


async def _probe_failure(plan: LoadPlan) -> str:
    """Return the reason why the server does not answer after the run, "" if it answers."""
    return await server_problem(plan.target, _probe_user(plan), plan.redactor, plan.options.get("ca_file")) or ""


def _start_error(failure: str, locust: ChildProcess, plan: LoadPlan) -> WscheckError:
    """Return the error for a run that never started, with the message of the Locust process if it printed one."""
    if setup_error := _SETUP_ERROR.search(locust.output()):
        message = plan.redactor.redact(setup_error[1]).strip()
        return UsageError(f"{message[:1].upper()}{message[1:]}.", "See `wscheck load --help`.")
    return CannotCheck(failure, "Run it again. If it happens again, report it with the output of `locust --version`.")


def _last_error(locust: ChildProcess, plan: LoadPlan) -> str:
    """Return ": " and the last line of Locust's output that mentions an error, redacted; "" if there is none."""
    lines = [line.strip() for line in locust.output().splitlines() if "error" in line.lower()]
    return f": {plan.redactor.redact(lines[-1])[:_MAX_OUTPUT_LENGTH]}" if lines else ""


def locust_command(plan: LoadPlan) -> list[str]:
    """Return Locust's command line. It contains no secret, because every user of the machine can read it."""
    arguments = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    # A refused connection is a failed request to Locust. Here it is a measurement, and the stream contains it.
    arguments += ["--exit-code-on-error", "0"]
    arguments += ["-u", str(plan.users), "-r", f"{plan.spawn_rate:g}", "-t", f"{plan.run_time_s:.0f}s"]
    arguments += _worker_arguments(plan.processes) if plan.processes > 1 else []
    for name, path in plan.locust_outputs.items():
        arguments += [f"--{name}", str(path)]
    return arguments


def _worker_arguments(processes: int) -> list[str]:
    """Return arguments for a master and its workers on loopback, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    master = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    return ["--processes", str(processes), *master, "--master-port", port]


def locust_environment(plan: LoadPlan, folder: Path) -> dict[str, str]:
    """Return the environment of the Locust process: this process's own, the target, and the options of the profile.

    LOCUST_* variables of this process are left out, and HOME is `folder`, because Locust settings and configuration
    files of the user belong to the user's own load tests.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    environment = {
        "HOME": str(folder),
        "PYTHONUSERBASE": site.getuserbase(),  # HOME has changed: packages of `pip install --user` stay importable
        "PYTHONPATH": _python_path(inherited.get("PYTHONPATH", "")),
        "LOCUST_HOST": plan.target.url,
        "WSCHECK_LOAD_PROFILE": plan.profile,
        "WSCHECK_LOAD_STREAM": str(folder / "stream.ndjson"),
    }
    if not plan.embedded:
        environment["WSCHECK_LOAD_TOKEN"] = plan.token.reveal() if plan.token is not None else ""
    for option in LOAD_OPTIONS:
        if (value := plan.options.get(option.name)) is not None:
            environment[option.variable] = str(int(value)) if isinstance(value, bool) else str(value)
    return {**inherited, **environment}


def _python_path(python_path: str) -> str:
    """Return PYTHONPATH with absolute paths, and with the source folder of wscheck if wscheck is not installed."""
    folders = [str(Path(folder).absolute()) for folder in python_path.split(os.pathsep) if folder]
    source = str(LOCUSTFILE.parents[2])
    is_installed = source in (*site.getsitepackages(), site.getusersitepackages())
    return os.pathsep.join(folders if is_installed else [source, *folders])
