"""However a run is asked to end, and however often, it leaves as it should."""

import asyncio
import os
import signal

import pytest

from wscheck.commands import exit_codes as ending

# Under nohup a closed terminal asks for nothing.
ASKS = [each for name in ending.ASKS if signal.getsignal(each := getattr(signal, name)) is not signal.SIG_IGN]


@pytest.mark.parametrize("ask", ASKS)
def test_a_run_that_has_something_to_tell_tells_it(ask: signal.Signals) -> None:
    async def work() -> str:
        try:
            os.kill(os.getpid(), ask)
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "what there is"
        return "all"

    assert ending.run(work()) == "what there is"


def test_one_that_has_nothing_to_tell_was_interrupted() -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        ending.run(work())


@pytest.mark.parametrize("again", ASKS)
def test_to_be_asked_twice_does_not_disturb_the_leaving(again: signal.Signals) -> None:
    left: list[str] = []

    async def work() -> str:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            os.kill(os.getpid(), again)
            await asyncio.sleep(0.05)  # in which the loop hears of the second
            left.append("politely")
        return "what there is"

    assert ending.run(work()) == "what there is"
    assert left == ["politely"]
