"""Console script `wscheck`, also `python -m wscheck`.

It imports `cli` inside `main`, so that Ctrl-C during these imports ends with the documented exit code.
"""

import atexit
import gc
import sys

OBJECTS = 50_000
"""New objects between two garbage collections. Python's default of 700 would scan the imported modules repeatedly."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)  # no last collection: the process ends anyway
    try:
        from wscheck.cli import main as run
    except KeyboardInterrupt:
        print("wscheck: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
