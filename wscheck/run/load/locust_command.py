"""Command line and environment of the Locust process, without the settings of the user's own load tests."""

import os
import site
import socket
import sys
from pathlib import Path

import wscheck
from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.run.load.plan import LoadPlan

LOCUSTFILE = Path(wscheck.__file__).parent / "loadgen" / "locustfile.py"


def locust_command(plan: LoadPlan) -> list[str]:
    """Return Locust's command line. It contains no secret, because every user of the machine can read it."""
    arguments = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    # A refused connection is a failed request to Locust. Here it is a measurement, and the stream contains it.
    arguments += ["--exit-code-on-error", "0"]
    arguments += ["-u", str(plan.users), "-r", f"{plan.spawn_rate:g}", "-t", f"{plan.run_time_s:.0f}s"]
    arguments += _worker_arguments(plan.processes) if plan.processes > 1 else []
    for name, path in plan.locust_outputs.items():
        arguments += [f"--{name}", str(path)]
    return arguments


def _worker_arguments(processes: int) -> list[str]:
    """Return arguments for a master and its workers on loopback, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    master = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    return ["--processes", str(processes), *master, "--master-port", port]


def locust_environment(plan: LoadPlan, folder: Path) -> dict[str, str]:
    """Return the environment of the Locust process: this one's, the target, and the options of the profile.

    LOCUST_* variables, and configuration files in the home and the working directory, belong to the user's own load
    tests. They are left out.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    environment = {
        "HOME": str(folder),
        "PYTHONUSERBASE": site.getuserbase(),  # HOME has changed: packages of `pip install --user` stay importable
        "PYTHONPATH": _python_path(inherited.get("PYTHONPATH", "")),
        "LOCUST_HOST": plan.target.url,
        "WSCHECK_LOAD_PROFILE": plan.profile,
        "WSCHECK_LOAD_STREAM": str(folder / "stream.ndjson"),
    }
    if not plan.embedded:
        environment["WSCHECK_LOAD_TOKEN"] = plan.token.reveal() if plan.token is not None else ""
    for option in LOAD_OPTIONS:
        if (value := plan.options.get(option.name)) is not None:
            environment[option.variable] = str(int(value)) if isinstance(value, bool) else str(value)
    return {**inherited, **environment}


def _python_path(python_path: str) -> str:
    """Return PYTHONPATH with absolute paths, and with the source folder of a wscheck that is not installed."""
    folders = [str(Path(folder).absolute()) for folder in python_path.split(os.pathsep) if folder]
    source = str(LOCUSTFILE.parents[2])
    is_installed = source in (*site.getsitepackages(), site.getusersitepackages())
    return os.pathsep.join(folders if is_installed else [source, *folders])
