"""Signals that end a run."""

import asyncio
import contextlib
import os
import signal
import time

import pytest

from wscheck.commands import exit_codes

# Under nohup SIGHUP is ignored.
SIGNALS = [getattr(signal, name) for name in exit_codes.END_SIGNALS]
ACTIVE = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]


@pytest.mark.parametrize("number", ACTIVE)
def test_a_run_with_partial_results_returns_them(number: signal.Signals) -> None:
    async def work() -> str:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "partial"
        return "all"

    assert exit_codes.run_until_signal(work()) == "partial"


@pytest.mark.parametrize("number", ACTIVE)
def test_code_that_occupies_the_event_loop_sees_that_the_run_is_cancelled(number: signal.Signals) -> None:
    async def work() -> int:
        task = asyncio.current_task()
        assert task is not None
        os.kill(os.getpid(), number)
        deadline = time.monotonic() + 60
        while not task.cancelling() and time.monotonic() < deadline:
            pass
        seen = task.cancelling()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return seen

    assert exit_codes.run_until_signal(work()) == 1


def test_a_run_without_results_is_interrupted() -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        exit_codes.run_until_signal(work())


@pytest.mark.parametrize("second", ACTIVE)
def test_a_second_signal_does_not_disturb_the_clean_up(second: signal.Signals) -> None:
    cleaned: list[str] = []

    async def work() -> str:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            os.kill(os.getpid(), second)
            await asyncio.sleep(0.05)  # time for the loop to handle the second signal
            cleaned.append("done")
        return "partial"

    assert exit_codes.run_until_signal(work()) == "partial"
    assert cleaned == ["done"]


def test_a_signal_interrupts_a_run_without_an_event_loop() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        exit_codes.interrupt_on_signals()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
