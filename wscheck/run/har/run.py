"""Run of `wscheck har`: the plan, the HAR files, and the outcome."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from wscheck.config.loading import Config
from wscheck.detect.engine import RuleOptions
from wscheck.model.errors import UsageError
from wscheck.model.events import Event
from wscheck.model.findings import Bar
from wscheck.model.report import Scope
from wscheck.observe.har import PROGRESS_EVERY, read_har_files
from wscheck.observe.traffic import IdentityRule
from wscheck.run import page_report
from wscheck.run.page_report import PageOutcome

ReportProgress = Callable[[str, int, int], None]

SCOPE = Scope(
    checked="the traffic that the browser recorded",
    not_checked="what the pages do outside of the recording",
    closes_with="wscheck browser URL",
)


class HarPlan(msgspec.Struct, kw_only=True):
    """Plan of a HAR run: the files to evaluate.

    files            HAR files of one application
    source_map_dirs  folders that contain the .map files of the frontend's build
    root             the folder of the checkout that contains the frontend
    """

    files: tuple[Path, ...]
    source_map_dirs: tuple[Path, ...] = ()
    identity: IdentityRule | None = None
    root: str = ""
    options: RuleOptions = msgspec.field(default_factory=RuleOptions)
    bar: Bar = msgspec.field(default_factory=Bar)


def plan_har_run(config: Config, files: Sequence[Path], source_map_dirs: Sequence[Path]) -> HarPlan:
    """Return the plan of a run from the configuration and the arguments of the command line.

    Raises:
        UsageError: A folder of source maps does not exist.
    """
    missing = next((folder for folder in source_map_dirs if not folder.is_dir()), None)
    if missing is not None:
        raise UsageError(f"`har.source_maps` {missing} is no directory.", "Name the folder that the build wrote.")
    return HarPlan(
        files=tuple(files),
        source_map_dirs=tuple(source_map_dirs),
        identity=IdentityRule.parse(config["browser.identity"]),
        root=config["browser.source_root"] or "",
        options=config.judge_options,
        bar=config.bar,
    )


def _with_progress(events: Sequence[Event], progress: ReportProgress) -> Iterator[Event]:
    for number, event in enumerate(events):
        if not number % PROGRESS_EVERY:
            progress(f"{number:,} of {len(events):,} events", number, len(events))
        yield event


def run_har(plan: HarPlan, progress: ReportProgress = lambda what, done, total: None) -> PageOutcome:
    """Read the HAR files and evaluate their connections. An error of `progress` ends the run.

    Raises:
        BadEvidence: A file is missing, truncated or not a HAR file.
    """
    contents = read_har_files(plan.files, plan.identity, plan.source_map_dirs, plan.root, progress)
    report = page_report.evaluate_pages(
        _with_progress(contents.events, progress),
        plan.options,
        plan.bar,
        target=", ".join(map(str, plan.files)),
        scope=SCOPE,
        pages=contents.pages,
        notes=contents.notes,
    )
    times = [event.at for event in contents.events if event.at is not None]
    if times:
        report.started_at, report.duration_s = min(times), round(max(times) - min(times), 3)
    outcome = PageOutcome(report, page_report.in_evaluation_order(contents.events))
    users = {getattr(event, "user", None) for event in contents.events}
    return contents.redactor.redact_finished(outcome, contents.cookies, users)
