"""A load run: Locust as a child process, observed through the stream that it writes, and evaluated by its statistics.

    plan -> system_limits -> backend_process -> locust_command -> progress_stream -> findings, report -> LoadReport

`run` connects them. Nothing here imports locust. The code inside the Locust process is `wscheck.loadgen`.
"""
