"""`wscheck`, also as `python -m wscheck`. It begins here rather than in `cli`, whose imports are most of a start:
Ctrl-C meanwhile ends like any other."""

import atexit
import gc
import sys

OBJECTS = 50_000
"""New objects between two searches for cycles: at Python's own 700 what is imported is searched over and over."""


def main() -> None:
    """The console script."""
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)  # what is left at the end goes with the process: no last search
    try:
        from wscheck.cli import main as run
    except KeyboardInterrupt:
        print("wscheck: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
