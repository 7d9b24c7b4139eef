"""A load run: Locust as a child process, observed through the stream that it writes, and evaluated by its statistics.

    plan -> backend_process -> run (Locust, a child process) -> progress_stream -> report -> LoadReport

`run` connects the others. Nothing here imports locust. The code inside the Locust process is `wscheck.loadgen`.
"""
