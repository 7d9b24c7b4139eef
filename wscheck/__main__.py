"""`wscheck`, also as `python -m wscheck`. It begins here rather than in `cli`, whose imports are most of a start:
Ctrl-C meanwhile ends like any other."""

import sys


def main() -> None:
    """The console script."""
    try:
        from wscheck.cli import main as run
    except KeyboardInterrupt:
        print("wscheck: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
