"""Entry point of the console script `wscheck` and of `python -m wscheck`.

`main` imports the module `cli`, so that Ctrl-C during this import ends with the exit code of docs/exit-codes.md.
"""

import atexit
import gc
import sys

OBJECTS = 200_000
"""Number of new objects between two garbage collections: more than a short run creates.

Python's default of 700 slows down imports.
"""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)  # prevents a garbage collection at exit, which would only take time
    try:
        from wscheck.cli import main as run
    except KeyboardInterrupt:
        print("wscheck: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
