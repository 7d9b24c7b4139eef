"""A journey through a page: the steps of a configuration, done by a real browser."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urljoin

from wscheck.config.browser_steps import Step
from wscheck.model.errors import CannotCheck
from wscheck.model.secrets import Secret
from wscheck.observe.browser.browser import Browser
from wscheck.observe.browser.page import BrowserTab


async def run_steps(browser: Browser, page: BrowserTab, steps: Sequence[Step]) -> None:
    """Does `steps`, beginning in `page`. Raises CannotCheck with the place of the step that could not be done."""
    for step in steps:
        try:
            page = await _do(browser, page, step)
        except CannotCheck as error:
            problem = browser.traffic.hiding.clean(f"{step}: {error.problem}")
            raise CannotCheck(problem, error.next_step) from error


async def _do(browser: Browser, page: BrowserTab, step: Step) -> BrowserTab:
    """One step; the page to go on in."""
    value = str(step.value)
    match step.action:
        case "goto":
            await page.goto(urljoin(await page.address(), value), step.within)
        case "click":
            await page.click(value, step.within)
        case "fill":
            await page.fill(value, _typed(browser, step.text), step.within)
        case "wait_for":
            await page.wait_for(value, step.within)
        case "wait":
            await asyncio.sleep(float(step.value))
        case "reload":
            await page.reload(step.within)
        case "back":
            await page.back(step.within)
        case "tab":
            return await _tab(browser, page, step)
    return page


def _typed(browser: Browser, text: str | Secret) -> str:
    if isinstance(text, Secret):
        browser.traffic.hiding.learn(text.reveal())
        return text.reveal()
    return text


async def _tab(browser: Browser, page: BrowserTab, step: Step) -> BrowserTab:
    if isinstance(step.value, str):
        return await browser.open(urljoin(await page.address(), step.value), step.within)
    label = f"tab {step.value:g}"
    tabs = browser.tabs
    if label not in tabs:
        raise CannotCheck(f"There is no {label}.", f"There are: {', '.join(tabs) or 'none'}.")
    return tabs[label]
