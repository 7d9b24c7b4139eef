"""Exit codes, and the signals that end a run.

SIGTERM (a cancelled CI job) and SIGHUP (a closed terminal) end a run like Ctrl-C: it reports its partial results.
"""

import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from wscheck.model.errors import ExitCode
    from wscheck.model.findings import Verdict

T = TypeVar("T")

END_SIGNALS = ("SIGTERM", "SIGHUP")


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP, like Ctrl-C, end a run that uses no event loop."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for name in END_SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # ignored under nohup
            signal.signal(number, interrupt)


def run_until_signal(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a new event loop and return its result.

    Raises:
        KeyboardInterrupt: The run was ended by a signal before it had results.
    """
    import asyncio
    import contextlib

    async def main() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        received: list[str] = []

        def end(name: str) -> None:
            if not received:  # a second signal must not disturb the clean-up
                received.append(name)
                task.cancel()

        for name in END_SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # ignored under nohup
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(number, end, name)
                    # Code that occupies the loop sees at once that its task is cancelled. The loop still wakes.
                    signal.signal(number, lambda *_, name=name: end(name))
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def exit_code(verdict: "Verdict", *, interrupted: bool = False) -> "ExitCode":
    """Return the exit code for `verdict` (docs/exit-codes.md)."""
    from wscheck.model.errors import ExitCode
    from wscheck.model.findings import Verdict

    if interrupted:
        return ExitCode.INTERRUPTED
    codes = {Verdict.PASSED: ExitCode.CLEAN, Verdict.FAILED: ExitCode.FINDINGS}
    return codes.get(verdict, ExitCode.COULD_NOT_CHECK)
