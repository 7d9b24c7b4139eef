"""A LOAD RUN: Locust as a process of its own, watched by the stream it writes, and judged by what it counted.

    plan -> limits -> backend -> launch -> course (the stream that Locust writes) -> outcome, findings -> LoadReport

`run` wires them. Nothing here imports locust: what runs inside it is `wscheck.load`.
"""
