"""Confusion matrix of causes: every page that has a known cause, watched, and the cause that its finding names."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from tests.pages import findings_of
from tests.run.browser.cases import BENIGN, CASES, CauseCase
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import PhaseEnded
from wscheck.model.findings import Bar, Finding
from wscheck.observe.browser import launched
from wscheck.run.page_report import evaluate_pages

TABS_PER_BROWSER = 7
"""Tabs of one browser at a time; their users distinguish them."""

RELOAD_S = 10.0

NOTHING = "(nothing)"

REPLACEMENT_CAUSES = frozenset({"reconnect-on-kick", "several-tabs"})
"""Causes that occur, or are found, only where the server replaces connections."""


class CaseResult(NamedTuple):
    """Cause that was named for one page of one build; `findings` are all of its user's."""

    case: CauseCase
    build: str
    cause: str
    findings: list[Finding]

    @property
    def right(self) -> bool:
        return self.cause == (self.case.cause or NOTHING)


def batches(build: str, policy: str = "replace") -> list[list[CauseCase]]:
    """Return the cases of `build` that can show their cause, as many at a time as one browser has tabs.

    policy  what the backend does with a user's second connection
    """
    possible = [case for case in CASES if policy == "replace" or case.cause not in REPLACEMENT_CAUSES]
    cases = [case for case in possible if build in case.builds]
    return [cases[first : first + TABS_PER_BROWSER] for first in range(0, len(cases), TABS_PER_BROWSER)]


async def run_cases(
    cases: Sequence[CauseCase], build: str, url: str, lenient: str, seconds: float = 2.0, patience: float = 60.0
) -> list[CaseResult]:
    """Watch the pages of a batch of cases at `url`, in one browser.

    Watch for `seconds`, then until every page has its expected result, at most `patience` seconds: a slow machine needs
    them. Every `RELOAD_S` seconds, reload each page without a finding, because what it does once may have happened
    before the first look.

    lenient  the URL of a backend that accepts any token
    """
    urls = [(case, page) for case in cases for page in page_urls(case, url, lenient)]
    async with launched() as browser:
        tabs = [(case, await browser.new_tab(), page) for case, page in urls]
        await asyncio.gather(*(tab.goto(page) for _, tab, page in tabs))
        deadline, reload_at = time.monotonic() + patience, time.monotonic() + RELOAD_S
        await asyncio.sleep(seconds)
        while True:
            late = time.monotonic() > deadline
            events = (await browser.observation(final=late)).events
            ended = PhaseEnded(at=time.time(), source="browser")
            findings = evaluate_pages([*events, ended], RuleOptions(), Bar(), target=url).findings
            results = [_result(case, build, findings) for case in cases]
            if late or all(result.right for result in results):
                return results
            if time.monotonic() > reload_at:
                silent = [each.case for each in results if not each.right and each.cause == NOTHING]
                await asyncio.gather(*(tab.goto(page) for case, tab, page in tabs if case in silent))
                reload_at = time.monotonic() + RELOAD_S
            await asyncio.sleep(0.5)


def page_urls(case: CauseCase, url: str, lenient: str) -> list[str]:
    """Return the page's URL once per tab, with a user of its own."""
    backend = f"&backend={lenient}" if case.cause == "token-refresh" else ""
    return [f"{url}/{case.page}.html?user={quote(user_name(case))}&{case.query}{backend}"] * case.tabs


def user_name(case: CauseCase) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in case.name)


def _result(case: CauseCase, build: str, findings: Iterable[Finding]) -> CaseResult:
    own = findings_of(user_name(case), list(findings))
    if case.cause == BENIGN:
        return CaseResult(case, build, own[0].rule if own else NOTHING, own)
    named = next((f.cause.id if f.cause else "(unknown)" for f in own if f.rule == case.rule), NOTHING)
    return CaseResult(case, build, named, own)


def table(results: Iterable[CaseResult]) -> str:
    """Return a Markdown row per true cause: how often it was named, and what was named instead."""
    rows: dict[str, list[CaseResult]] = {}
    for result in results:
        rows.setdefault(result.case.cause or "(benign)", []).append(result)
    lines = ["| true cause | pages watched | named right | named instead |", "|---|---|---|---|"]
    for cause, group in rows.items():
        wrong = Counter(result.cause for result in group if not result.right)
        instead = ", ".join(f"{name} {count}" for name, count in wrong.items()) or ""
        right = sum(result.right for result in group)
        lines.append(f"| `{cause}` | {len(group)} | {right} ({100 * right / len(group):.0f} %) | {instead} |")
    return "\n".join(lines)
