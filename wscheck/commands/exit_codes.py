"""However a run is asked to end, it tells what it has and leaves nothing behind: SIGTERM (a CI job that is cancelled)
and a terminal that is closed end it as Ctrl-C does."""

import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from wscheck.model.errors import ExitCode
    from wscheck.model.findings import Verdict

T = TypeVar("T")

ASKS = ("SIGTERM", "SIGHUP")


def run(work: Coroutine[Any, Any, T]) -> T:
    """`work` from a program that has no loop. Raises KeyboardInterrupt when it had to end and had nothing to tell."""
    import asyncio
    import contextlib

    async def main() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        asked: list[str] = []

        def end(name: str) -> None:
            if not asked:  # to be asked again must not disturb the leaving
                asked.append(name)
                task.cancel()

        for name in ASKS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(number, end, name)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def exit_code(verdict: "Verdict", *, interrupted: bool = False) -> "ExitCode":
    """What a run ends with that came to `verdict`, whole or not (docs/exit-codes.md)."""
    from wscheck.model.errors import ExitCode
    from wscheck.model.findings import Verdict

    if interrupted:
        return ExitCode.INTERRUPTED
    codes = {Verdict.PASSED: ExitCode.CLEAN, Verdict.FAILED: ExitCode.FINDINGS}
    return codes.get(verdict, ExitCode.COULD_NOT_CHECK)
