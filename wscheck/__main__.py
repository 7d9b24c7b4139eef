"""`python -m wscheck` is `wscheck`."""

from wscheck.cli import main

main()
