"""HOW LOCUST IS STARTED: its command line and environment, with nothing of the project that the run happens in."""

import os
import site
import socket
import sys
from pathlib import Path

import wscheck
from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.run.load.plan import Plan

LOCUSTFILE = Path(wscheck.__file__).parent / "loadgen" / "locustfile.py"


def command(plan: Plan) -> list[str]:
    """Locust's command line. Nothing secret is on it: whoever lists processes reads it."""
    arguments = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    # A refused connection is a measurement here, judged from the stream.
    arguments += ["--exit-code-on-error", "0"]
    arguments += ["-u", str(plan.users), "-r", f"{plan.spawn_rate:g}", "-t", f"{plan.run_time_s:.0f}s"]
    arguments += _cluster(plan.processes) if plan.processes > 1 else []
    for name, path in plan.extras.items():
        arguments += [f"--{name}", str(path)]
    return arguments


def _cluster(processes: int) -> list[str]:
    """A master and its workers on this machine alone, on a port that no other run has."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    master = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    return ["--processes", str(processes), *master, "--master-port", port]


def environ(plan: Plan, folder: Path) -> dict[str, str]:
    """The environment of the Locust process: ours, the target, and every option of the profile by its variable.

    What a project's own load tests tell Locust (LOCUST_*, and the files that it reads in the working directory and at
    home) would make another run of ours.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    told = {
        "HOME": str(folder),
        "PYTHONUSERBASE": site.getuserbase(),  # what `pip install --user` brought stays importable
        "PYTHONPATH": _importable(own.get("PYTHONPATH", "")),
        "LOCUST_HOST": plan.target.url,
        "WSCHECK_LOAD_PROFILE": plan.profile,
        "WSCHECK_LOAD_STREAM": str(folder / "stream.ndjson"),
    }
    if not plan.embedded:
        told["WSCHECK_LOAD_TOKEN"] = plan.token.reveal() if plan.token is not None else ""
    for option in LOAD_OPTIONS:
        if (value := plan.options.get(option.name)) is not None:
            told[option.variable] = str(int(value)) if isinstance(value, bool) else str(value)
    return {**own, **told}


def _importable(path: str) -> str:
    """PYTHONPATH as it is meant here, for another working directory; a wscheck that is not installed is on it."""
    places = [str(Path(place).absolute()) for place in path.split(os.pathsep) if place]
    source = str(LOCUSTFILE.parents[2])
    installed = source in (*site.getsitepackages(), site.getusersitepackages())
    return os.pathsep.join(places if installed else [source, *places])
