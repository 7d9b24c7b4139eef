"""The end of a scenario whose client loops: it must not depend on the speed of the machine."""

import asyncio
from collections.abc import Iterator
from itertools import count

import msgspec
import pytest

from wscheck.config.event_contract import Contract
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.events import Connected, Connecting, Disconnected
from wscheck.scenarios import context as scenario_context
from wscheck.scenarios.context import DASHBOARD, WIZARD, ScenarioContext, ScenarioSettings

SETTINGS = ScenarioSettings(
    target=ServerTarget(url="http://127.0.0.1:9"),
    user=Credentials("ann", None),
    second_user=None,
    contract=Contract(()),
    client="per-component",
    reconnect_delay_s=0.01,
    grace_s=0.01,
)


class Loop:
    """A page whose two components replace each other's connections: events only, and no server."""

    def __init__(self, settings: ScenarioSettings, components: int = 2) -> None:
        self.context, self._sids = ScenarioContext(settings), count()
        page = self.context.new_page()
        for name in (DASHBOARD, WIZARD)[:components]:
            page.add_component(name)
            self.attempts(1)

    def attempts(self, number: int, *, answered: bool = True) -> None:
        for n in range(number):
            self.context.record(Connecting(at=1000.0 + n, source="client", user="ann", page="tab-1"))
            if answered:
                self.answers()

    def answers(self) -> None:
        self.context.record(Connected(at=1000.0, source="client", user="ann", sid=f"s{next(self._sids)}"))

    def ends(self) -> None:
        self.context.record(Disconnected(at=1000.0, source="client", user="ann", sid=f"s{next(self._sids)}"))

    @property
    def attempted(self) -> int:
        return sum(isinstance(event, Connecting) for event in self.context.events)

    async def watched(self, attempts: int) -> int:
        """Return the attempts at the end of the watch, while the loop makes so many more."""

        async def go_on() -> None:
            for _ in range(attempts):
                await asyncio.sleep(0.001)
                self.attempts(1)

        looping = asyncio.ensure_future(go_on())
        await self.context.observe_loop()
        attempted = self.attempted
        looping.cancel()
        return attempted


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the watch soon after a loop that has ended."""
    monkeypatch.setattr(scenario_context, "LOOP_WAIT_S", 0.3)
    yield


async def test_a_loop_is_watched_until_it_exceeds_the_limit() -> None:
    loop = Loop(SETTINGS)
    loop.ends()
    assert await loop.watched(50) == SETTINGS.max_attempts + 1


async def test_the_watch_ends_after_the_answer_to_the_last_attempt() -> None:
    loop = Loop(SETTINGS)
    loop.ends()
    loop.attempts(3)
    loop.attempts(1, answered=False)
    watching = asyncio.ensure_future(loop.context.observe_loop())
    await asyncio.sleep(0.01)
    assert not watching.done()
    loop.answers()
    await watching


async def test_the_watch_ends_with_the_loop() -> None:
    loop = Loop(SETTINGS)
    loop.ends()
    assert await loop.watched(2) == 4


@pytest.mark.parametrize(
    "changes",
    [{"reconnect_delay_s": None}, {"reconnect_delay_s": 5.0}, {"client": "unified"}],
    ids=["no reconnect", "a delay that stays below the limit", "one connection"],
)
async def test_a_client_that_cannot_exceed_the_limit_is_not_watched(changes: dict[str, object]) -> None:
    loop = Loop(msgspec.structs.replace(SETTINGS, **changes))
    loop.ends()
    assert await loop.watched(50) == 2


async def test_a_page_that_no_connection_of_was_ended_is_not_watched() -> None:
    assert await Loop(SETTINGS).watched(0) == 2
    alone = Loop(SETTINGS, components=1)
    alone.ends()
    assert await alone.watched(50) == 1


async def test_a_component_that_unmounts_is_watched_before() -> None:
    loop = Loop(SETTINGS)
    loop.ends()
    looping = asyncio.ensure_future(loop.watched(50))
    (page,) = loop.context._pages
    await page.components[0].unmount()
    assert loop.attempted > SETTINGS.max_attempts
    await looping


def test_a_control_does_not_reconnect() -> None:
    """Otherwise the number of its connections, which reports show, would depend on the speed of the machine."""
    page = ScenarioContext(SETTINGS).new_page(fault=True)
    assert page._reconnect_delay_s is None  # type: ignore[attr-defined]
