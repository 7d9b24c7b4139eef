"""What holds for every test, however the run was started."""

import signal


def pytest_configure() -> None:
    """Accept the signals that a shell's background (Ctrl-C) and nohup ignore, and so would every process of a test."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
