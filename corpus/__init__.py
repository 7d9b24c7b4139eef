"""Public applications with known faults and without, and a run of wscheck and of other tools on each.

Each application is a package of a fixed version. `python -m corpus` installs it into a cache folder, serves it on the
loopback interface, checks it, and compares the reports with the expected results in `corpus/apps/`.
"""
