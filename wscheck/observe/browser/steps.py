"""A journey through a page: the steps of a configuration, done by a real browser."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urljoin

from wscheck.config.browser_steps import BrowserStep
from wscheck.model.errors import CannotCheck
from wscheck.model.secrets import Secret
from wscheck.observe.browser.browser import Browser
from wscheck.observe.browser.page import BrowserTab


async def run_steps(browser: Browser, page: BrowserTab, steps: Sequence[BrowserStep]) -> None:
    """Does `steps`, beginning in `page`. Raises CannotCheck with the place of the step that could not be done."""
    for step in steps:
        try:
            page = await _do(browser, page, step)
        except CannotCheck as error:
            problem = browser.traffic.hiding.clean(f"{step}: {error.problem}")
            raise CannotCheck(problem, error.next_step) from error


async def _do(browser: Browser, page: BrowserTab, step: BrowserStep) -> BrowserTab:
    """One step; the page to go on in."""
    value = str(step.argument)
    match step.action:
        case "goto":
            await page.goto(urljoin(await page.address(), value), step.timeout_s)
        case "click":
            await page.click(value, step.timeout_s)
        case "fill":
            await page.fill(value, _typed(browser, step.typed), step.timeout_s)
        case "wait_for":
            await page.wait_for(value, step.timeout_s)
        case "wait":
            await asyncio.sleep(float(step.argument))
        case "reload":
            await page.reload(step.timeout_s)
        case "back":
            await page.back(step.timeout_s)
        case "tab":
            return await _tab(browser, page, step)
    return page


def _typed(browser: Browser, text: str | Secret) -> str:
    if isinstance(text, Secret):
        browser.traffic.hiding.learn(text.reveal())
        return text.reveal()
    return text


async def _tab(browser: Browser, page: BrowserTab, step: BrowserStep) -> BrowserTab:
    if isinstance(step.argument, str):
        return await browser.open(urljoin(await page.address(), step.argument), step.timeout_s)
    label = f"tab {step.argument:g}"
    tabs = browser.tabs
    if label not in tabs:
        raise CannotCheck(f"There is no {label}.", f"There are: {', '.join(tabs) or 'none'}.")
    return tabs[label]
