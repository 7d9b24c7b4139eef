"""The load run, wired: check what can be checked before, run Locust, follow its stream, report whatever came of it."""

import asyncio
import importlib.util
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from wscheck.config.target import Credentials
from wscheck.model.errors import CannotCheck, UsageError, WscheckError
from wscheck.model.load_report import LoadReport
from wscheck.model.secrets import Secret
from wscheck.observe.client.preflight import answers, handshake
from wscheck.report.load_figures import format_counts
from wscheck.run.load.backend import Embedded, embedded
from wscheck.run.load.child_process import Offspring, started
from wscheck.run.load.locust_command import command, environ
from wscheck.run.load.plan import Plan
from wscheck.run.load.progress_stream import Course, Tail
from wscheck.run.load.report import Ending, report
from wscheck.run.load.system_limits import allowed, check

REFUSAL = re.compile(r"^(?:.*/ERROR/.*: )?wscheck: (.+)$", re.MULTILINE)
"""The line in which the Locust process refuses an option."""

STORM = "storm"
"""The profile whose users live through a restart of the server: that of the embedded backend is ours to do."""

STORM_S, STORM_AT = 3.0, 1 / 3
"""Once everybody is connected, after so long at the earliest; in this part of the run time at the latest."""

POLL_S = 0.1
# Locust imports its libraries, forks its workers and waits for them before anything begins.
START_S = 60.0
# Beyond its run time Locust closes every connection, collects its workers' last reports and writes its own outputs.
END_S = 45.0
# So many refusals without one connection, for so long, are no accident: the rest would be refused as well.
REFUSALS, REFUSALS_S = 20, 3.0

Watcher = Callable[[Course, float], None]
"""Hears several times a second how the run goes, and for how many seconds it has been going."""


async def load(plan: Plan, watch: Watcher = lambda course, at: None) -> LoadReport:
    """Run `plan` and report. Cancelled (Ctrl-C), it stops the swarm and reports what it has. Raises CannotCheck."""
    require_locust()
    check(plan, allowed(plan))
    with tempfile.TemporaryDirectory(prefix="wscheck-load-") as folder:
        async with _target(plan, Path(folder)) as (plan_at, backend):
            return await _load(plan_at, Path(folder), watch, backend)


def require_locust() -> None:
    """Raises UsageError, saying how to install it, when Locust is not there."""
    if importlib.util.find_spec("locust") is None:
        raise UsageError(
            "`wscheck load` runs Locust, which is not installed here.", "Install it: pip install 'wscheck[load]'."
        )


@asynccontextmanager
async def _target(plan: Plan, folder: Path) -> AsyncIterator[tuple[Plan, Embedded | None]]:
    """The plan with a URL that answers: the given one, or that of a fresh embedded backend."""
    if not plan.embedded:
        await handshake(plan.target, _user(plan), plan.redactor, plan.options.get("ca_file"))
        yield plan, None
        return
    async with embedded(folder, plan.target.namespace, plan.target.path) as backend:
        target = msgspec.structs.replace(plan.target, url=backend.url)
        yield msgspec.structs.replace(plan, target=target), backend


def _user(plan: Plan) -> Credentials:
    """Who knocks before the run: the handshake names nobody unless the target wants a name in its URL or headers."""
    user = f"{plan.options.get('user_prefix') or 'load-user-'}1"
    return Credentials(user, Secret(plan.token.reveal().replace("{user}", user)) if plan.token is not None else None)


@dataclass
class _Running:
    """A run in its course: the process, what it told, who is told, and the backend that is ours."""

    plan: Plan
    locust: Offspring
    tail: Tail
    watch: Watcher
    backend: Embedded | None
    course: Course = field(default_factory=Course)
    started: float = field(default_factory=time.monotonic)
    begun: float | None = None
    broken: str = ""
    interrupted: bool = False

    @property
    def since_begun(self) -> float:
        """Seconds since the swarm began."""
        return time.monotonic() - self.begun if self.begun is not None else 0.0

    def read(self) -> None:
        """Take what the stream says by now."""
        for line in self.tail.lines():
            self.course.take(line)
        if self.begun is None and self.course.begun is not None:
            self.begun = time.monotonic()


async def _load(plan: Plan, folder: Path, watch: Watcher, backend: Embedded | None) -> LoadReport:
    began = time.time()
    async with started(command(plan), folder / "locust.log", environ(plan, folder), folder) as locust:
        run = _Running(plan, locust, Tail(folder / "stream.ndjson"), watch, backend)
        try:
            run.broken = await _follow(run)
        except asyncio.CancelledError:
            run.interrupted = True
        ending = await _undisturbed(run, _end(run, began))
    return report(plan, run.course, ending)


async def _undisturbed(run: _Running, ending: Coroutine[Any, Any, Ending]) -> Ending:
    """What follows a run is soon over, and without it there are no figures: Ctrl-C is noted and does not stop it."""
    task = asyncio.ensure_future(ending)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            run.interrupted = True


async def _end(run: _Running, began: float) -> Ending:
    """Stop what still runs, and ask the server. Raises WscheckError when the swarm never began."""
    await _stop(run)
    course = run.course
    if not run.broken and course.ended is None and not run.interrupted:
        run.broken = f"Locust ended before the run did{_last_words(run.locust, run.plan)}"
    if course.begun is None and run.broken:
        raise _never_begun(run.broken, run.locust, run.plan)
    lost = "" if run.interrupted else await _lost(run.plan)
    server = await run.backend.counted() if run.backend is not None and not run.interrupted else None
    return Ending(
        started_at=course.begun.started_at if course.begun else began,
        duration_s=time.time() - began,
        interrupted=run.interrupted,
        broken=run.broken,
        lost=lost,
        server=server,
    )


async def _follow(run: _Running) -> str:
    """Until the run is over; why it had to be ended before, empty when it need not."""
    calm = run.backend is None or run.plan.profile != STORM
    while run.course.ended is None and not run.locust.ended:
        await asyncio.sleep(POLL_S)
        run.read()
        run.watch(run.course, run.since_begun)
        if reason := _hopeless(run):
            return reason
        if not calm and run.backend is not None and _ripe(run):
            calm = True
            await run.backend.restart()
    return ""


def _ripe(run: _Running) -> bool:
    """Whether it is time for the storm: the rest of the run is for coming back."""
    everybody = run.course.statistics.connects >= run.plan.users and run.since_begun > STORM_S
    return everybody or run.since_begun > run.plan.run_time_s * STORM_AT


def _hopeless(run: _Running) -> str:
    plan, course = run.plan, run.course
    if run.begun is None:
        return f"Locust did not begin within {START_S:g} s" if time.monotonic() - run.started > START_S else ""
    if run.since_begun > plan.run_time_s + END_S:
        return f"Locust did not end within {END_S:g} s after its run time"
    # The totals lag behind, the more so with workers; a run that is nearly over may as well end by itself.
    early = REFUSALS_S < run.since_begun < plan.run_time_s - REFUSALS_S
    if early and not course.statistics.connects and course.refused >= REFUSALS:
        kinds = plan.redactor.redact(format_counts(course.statistics.refused))
        return f"nothing connected: the first {course.refused:,} attempts were refused ({kinds})"
    return ""


async def _stop(run: _Running) -> None:
    """Let it end in order, and read what it says last."""
    if run.course.ended is None:
        run.locust.terminate()
    await run.locust.end(END_S / 3)
    run.read()


async def _lost(plan: Plan) -> str:
    """What is wrong with the server after the run, empty when it still answers."""
    return await answers(plan.target, _user(plan), plan.redactor, plan.options.get("ca_file")) or ""


def _never_begun(broken: str, locust: Offspring, plan: Plan) -> WscheckError:
    """What the Locust process has to say to the user when it refuses its options, else that it broke."""
    if refused := REFUSAL.search(locust.said()):
        said = plan.redactor.redact(refused[1]).strip()
        return UsageError(f"{said[:1].upper()}{said[1:]}.", "See wscheck load --help.")
    return CannotCheck(broken, "Run it again; when it stays so, report it with the output of: locust --version.")


def _last_words(locust: Offspring, plan: Plan) -> str:
    """What Locust printed last, without secrets."""
    said = [line.strip() for line in locust.said().splitlines() if line.strip()]
    telling = [line for line in said if "error" in line.lower()]
    return f": {plan.redactor.redact(telling[-1])[:300]}" if telling else ""
