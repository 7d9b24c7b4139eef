"""What holds for every test, however the run was started."""

import signal


def pytest_configure() -> None:
    """A run in a shell's background ignores Ctrl-C, and so would every process that a test starts and interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
