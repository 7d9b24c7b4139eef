"""Script that runs the commands of the CI files in an empty environment, for the broken and the fixed component.

    python examples/ci/try.py        # needs PyYAML, the package index, and Chromium and Node for the image's commands

It runs the steps of `action.yml`, the jobs of `templates/gitlab-ci.yml`, the pre-commit hook, and the commands of the
image and of `compose.yml` without a container. It runs no step that uses another action or uploads a file.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "examples" / "ci" / "src"
DASHBOARD = ROOT / "examples" / "bot-dashboard"


class Machine:
    """An empty folder with its own Python, and an environment without the variables of this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "python", with_pip=True)
        (folder / "src").mkdir()
        path = f"{folder / 'python' / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_"))}
        self.environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", **kept}

    def component(self, name: str) -> None:
        """Put one component of the example into the folder `src`."""
        for path in (self.folder / "src").iterdir():
            path.unlink()
        (self.folder / "src" / name).write_text((SOURCES / name).read_text())

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script as the services do: with Bash, until the first error."""
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def expect(what: str, ran: subprocess.CompletedProcess[str], code: int, files: Sequence[Path] = ()) -> None:
    """Print a line about a step, and end if it did something else than expected."""
    missing = [path.name for path in files if not path.is_file() or not path.stat().st_size]
    if ran.returncode != code or missing:
        sys.exit(f"{what}: exit {ran.returncode}, expected {code}; missing: {missing}\n{ran.stdout}{ran.stderr}")
    print(f"{what}: exit {code}, {len(files)} reports", flush=True)


def try_action(machine: Machine) -> None:
    """Run the composite action's own steps: installation and scan."""
    steps = {
        step["name"]: step
        for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
        if "run" in step
    }
    expect("action, installation", machine.run(steps["Install wscheck"]["run"], SOURCE=str(ROOT), EXTRA=""), 0)
    summary = machine.folder / "summary.md"
    for component, code in (("Broken.jsx", 1), ("Fixed.jsx", 0)):
        machine.component(component)
        variables = {"COMMAND": "scan", "ARGUMENTS": "src\n", "REPORTS": component, "GITHUB_STEP_SUMMARY": str(summary)}
        ran = machine.run(steps["Run wscheck"]["run"], **variables)
        reports = [machine.folder / component / f"wscheck.{suffix}" for suffix in ("html", "json", "sarif", "md")]
        expect(f"action, {component}", ran, code, [*reports, summary])


def try_gitlab(machine: Machine) -> None:
    """Run the job of the GitLab template."""
    job = yaml.safe_load((ROOT / "templates" / "gitlab-ci.yml").read_text())[".wscheck"]
    script = "\n".join([*job["before_script"], *job["script"]])
    for component, code in (("Broken.jsx", 1), ("Fixed.jsx", 0)):
        machine.component(component)
        ran = machine.run(script, CHECK_COMMAND="scan src", CHECK_PACKAGE=str(ROOT))
        expect(
            f"GitLab, {component}", ran, code, [machine.folder / path for path in job["artifacts"]["reports"].values()]
        )


def try_hook(machine: Machine) -> None:
    """Run the pre-commit hook's command, also where nothing opens a connection."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for component, code in (("Broken.jsx", 1), ("Fixed.jsx", 0)):
        machine.component(component)
        expect(f"pre-commit, {component}", machine.run(hook["entry"]), code)
    (machine.folder / "src" / "Fixed.jsx").unlink()
    expect("pre-commit, nothing", machine.run(hook["entry"]), 0)


def try_image(machine: Machine) -> None:
    """Run what the image installs and starts: a page in Chromium, and the log of a service with metrics."""
    expect("image, installation", machine.run(f"python -m pip install --quiet '{ROOT}[prometheus]'"), 0)
    build_dashboard()
    port, metrics = free_port(), free_port()
    server = [
        "node",
        DASHBOARD / "backend" / "server.mjs",
        "--static",
        DASHBOARD / "dist" / "prod",
        "--port",
        str(port),
    ]
    log = machine.folder / "bot.log"
    with log.open("w") as out, subprocess.Popen(server, stdout=out, stderr=subprocess.DEVNULL) as bot:
        try:
            wait_for(port)
            for page, code in (("broken", 1), ("fixed", 0)):
                ran = machine.run(
                    f"wscheck browser http://127.0.0.1:{port}/{page}.html --for 2s --format json={page}.json"
                )
                expect(f"image, {page} page", ran, code, [machine.folder / f"{page}.json"])
            compose = yaml.safe_load((ROOT / "examples" / "ci" / "compose.yml").read_text())
            command = compose["services"]["wscheck"]["command"].replace("/logs/bot.log", str(log))
            command = command.replace("0.0.0.0:9464", f"127.0.0.1:{metrics}")
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            watch = subprocess.Popen(
                ["wscheck", *command.split()], cwd=machine.folder, env=machine.environment, **silent
            )
            try:
                wait_for(metrics)
                with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as answer:
                    found = answer.read().decode().count("\nwscheck_")
                print(f"compose, {' '.join(command.split()[:1])}: {found} lines of metrics", flush=True)
            finally:
                watch.terminate()
                watch.wait(timeout=30)
        finally:
            bot.terminate()
    findings = json.loads((machine.folder / "broken.json").read_text())["findings"]
    print(f"image, broken page: {findings[0]['rule']}", flush=True)


def build_dashboard() -> None:
    """Build the pages of the dashboard, which Git does not contain."""
    if not (DASHBOARD / "node_modules").exists():
        subprocess.run(["npm", "ci", "--silent"], cwd=DASHBOARD, check=True, timeout=300)
    subprocess.run(["npm", "run", "--silent", "build"], cwd=DASHBOARD, check=True, timeout=300)


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until something listens on a port of this machine."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def main() -> None:
    """Try all files, each on a machine of its own."""
    for attempt in (try_action, try_gitlab, try_hook, try_image):
        with tempfile.TemporaryDirectory(prefix="wscheck-ci-") as folder:
            machine = Machine(Path(folder).resolve())
            if attempt is try_hook:
                expect("pre-commit, installation", machine.run(f"python -m pip install --quiet {ROOT}"), 0)
            attempt(machine)


if __name__ == "__main__":
    main()
