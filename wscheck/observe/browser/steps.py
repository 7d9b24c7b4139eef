"""The configured browser steps ([[browser.step]]), run in a real browser."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urljoin

from wscheck.config.browser_steps import BrowserStep
from wscheck.model.errors import CannotCheck
from wscheck.model.secrets import Secret
from wscheck.observe.browser.browser import Browser
from wscheck.observe.browser.page import BrowserTab


async def run_steps(browser: Browser, tab: BrowserTab, steps: Sequence[BrowserStep]) -> None:
    """Run `steps`, starting in `tab`.

    Raises:
        CannotCheck: A step failed; the message starts with the line of the step.
    """
    for step in steps:
        try:
            tab = await _run_step(browser, tab, step)
        except CannotCheck as error:
            problem = browser.traffic.redactor.redact(f"{step}: {error.problem}")
            raise CannotCheck(problem, error.next_step) from error


async def _run_step(browser: Browser, tab: BrowserTab, step: BrowserStep) -> BrowserTab:
    """Run one step; return the tab in which the next one runs."""
    value = str(step.argument)
    match step.action:
        case "goto":
            await tab.goto(urljoin(await tab.url(), value), step.timeout_s)
        case "click":
            await tab.click(value, step.timeout_s)
        case "fill":
            await tab.fill(value, _reveal_text(browser, step.typed), step.timeout_s)
        case "wait_for":
            await tab.wait_for(value, step.timeout_s)
        case "wait":
            await asyncio.sleep(float(step.argument))
        case "reload":
            await tab.reload(step.timeout_s)
        case "back":
            await tab.back(step.timeout_s)
        case "tab":
            return await _switch_tab(browser, tab, step)
    return tab


def _reveal_text(browser: Browser, text: str | Secret) -> str:
    if isinstance(text, Secret):
        browser.traffic.redactor.learn(text.reveal())
        return text.reveal()
    return text


async def _switch_tab(browser: Browser, tab: BrowserTab, step: BrowserStep) -> BrowserTab:
    """Open a new tab at a URL, or return the tab with a number."""
    if isinstance(step.argument, str):
        return await browser.open(urljoin(await tab.url(), step.argument), step.timeout_s)
    label = f"tab {step.argument:g}"
    tabs = browser.tabs
    if label not in tabs:
        raise CannotCheck(f"There is no {label}.", f"There are: {', '.join(tabs) or 'none'}.")
    return tabs[label]
