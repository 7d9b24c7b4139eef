"""The confusion matrix: every cause page watched, the cause that was named against the true one."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from tests.pages import of
from tests.run.browser.cases import BENIGN, CASES, Case
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import PhaseEnded
from wscheck.model.findings import Bar, Finding
from wscheck.observe.browser import launched
from wscheck.run.page_report import report

AT_ONCE = 7
"""Tabs of one browser: what they do is told apart by their users."""

NOTHING = "(nothing)"

OF_REPLACING = frozenset({"reconnect-on-kick", "several-tabs"})
"""What happens only to whoever is replaced, or is found by it."""


class Told(NamedTuple):
    """What one page of one build was said to have. `findings` are all of its user's."""

    case: Case
    build: str
    cause: str
    findings: list[Finding]

    @property
    def right(self) -> bool:
        return self.cause == (self.case.cause or NOTHING)


async def tell(
    build: str, url: str, lenient: str, seconds: float = 2.0, patience: float = 20.0, policy: str = "replace"
) -> list[Told]:
    """Watches every case of `build` at `url`, for `seconds` and then, on a machine that is slow, until every page came
    to do what it does, at most `patience`: after half of it, a page that nothing was found on is loaded anew, for what
    it does once may have been over before it was looked into. `lenient` is a backend that takes any token; `policy` is
    what both do with a user's second connection."""
    possible = [case for case in CASES if policy == "replace" or case.cause not in OF_REPLACING]
    ours = [case for case in possible if build in case.builds]
    told: list[Told] = []
    for first in range(0, len(ours), AT_ONCE):
        told += await _watch(ours[first : first + AT_ONCE], build, url, lenient, seconds, patience)
    return told


async def _watch(
    group: Sequence[Case], build: str, url: str, lenient: str, seconds: float, patience: float
) -> list[Told]:
    tabs = [(case, address) for case in group for address in addresses(case, url, lenient)]
    async with launched() as browser:
        shown = [(case, await browser.new_tab(), address) for case, address in tabs]
        await asyncio.gather(*(page.goto(address) for _, page, address in shown))
        deadline, again = time.monotonic() + patience, time.monotonic() + patience / 2
        await asyncio.sleep(seconds)
        while True:
            late = time.monotonic() > deadline
            seen = [*(await browser.observation(final=late)).events, PhaseEnded(at=time.time(), source="browser")]
            findings = report(seen, RuleOptions(), Bar(), target=url).findings
            told = [_told(case, build, findings) for case in group]
            if late or all(one.right for one in told):
                return told
            if time.monotonic() > again:
                silent = [one.case for one in told if not one.right and one.cause == NOTHING]
                await asyncio.gather(*(page.goto(address) for case, page, address in shown if case in silent))
                again = deadline
            await asyncio.sleep(0.5)


def addresses(case: Case, url: str, lenient: str) -> list[str]:
    """The page's address, once for each tab, with a user of its own."""
    backend = f"&backend={lenient}" if case.cause == "token-refresh" else ""
    return [f"{url}/{case.page}.html?user={quote(user(case))}&{case.query}{backend}"] * case.tabs


def user(case: Case) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in case.name)


def _told(case: Case, build: str, findings: Iterable[Finding]) -> Told:
    own = of(user(case), list(findings))
    if case.cause == BENIGN:
        return Told(case, build, own[0].rule if own else NOTHING, own)
    named = next((f.cause.id if f.cause else "(unknown)" for f in own if f.rule == case.rule), NOTHING)
    return Told(case, build, named, own)


def table(told: Iterable[Told]) -> str:
    """A row for each true cause: how often it was named, and what was named instead."""
    rows: dict[str, list[Told]] = {}
    for one in told:
        rows.setdefault(one.case.cause or "(benign)", []).append(one)
    lines = ["| true cause | pages watched | named right | named instead |", "|---|---|---|---|"]
    for cause, group in rows.items():
        wrong = Counter(one.cause for one in group if not one.right)
        instead = ", ".join(f"{name} {count}" for name, count in wrong.items()) or ""
        right = sum(one.right for one in group)
        lines.append(f"| `{cause}` | {len(group)} | {right} ({100 * right / len(group):.0f} %) | {instead} |")
    return "\n".join(lines)
