"""Sets of findings in 20 runs of each faulty mode of a server: the same fault must give the same set each time.

The field servers need `make field-servers` first.
"""

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.field.servers import score
from tests.node_backend import node_backend
from tests.run.verify.runs import plan_run
from tests.run.verify.test_faults import FAULTS, PING
from wscheck.backend.faults import SecondConnectionPolicy
from wscheck.config.loading import load_config
from wscheck.model.findings import Finding
from wscheck.run.verify.plan import plan_verify_run
from wscheck.run.verify.run import VerifyOutcome, run_verify
from wscheck.run.verify.targets import EmbeddedServers

RUNS = int(os.environ.get("RUNS", "20"))

LOOP = {"verify.client": "per-component", "verify.reconnect_on_kick": "300ms"}
FIELD = Path(__file__).parents[1] / "tests" / "field" / "servers"
FIELD_TOKENS = {"identity.token": "mira-key-71f0", "identity.second_token": "tomas-key-20ab"}

Seen = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Mode:
    """A server with a fault, the scenarios to run against it, and the settings of the client."""

    name: str
    kind: str
    options: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


MODES = (
    *(Mode(fault, "embedded", (fault,)) for fault, _, _ in FAULTS),
    Mode("loop", "embedded", settings=LOOP),
    Mode("loop, refused", "embedded", ("reject",), settings=LOOP),
    *(Mode(f, "node", ("--fault", f, *PING), tuple({scenario, "second-tab"})) for f, scenario, _ in FAULTS),
    Mode("loop", "node", PING, ("single-connection", "component-sharing", "reconnect"), LOOP),
    Mode("desk race", "field", ("desk.mjs", "fault=race"), ("race", "single-connection", "second-tab")),
    Mode("desk double", "field", ("desk.mjs", "fault=double"), ("event-handling", "component-sharing")),
    Mode("desk loop", "field", ("desk.mjs",), ("single-connection", "component-sharing", "reconnect"), LOOP),
    Mode("board leak", "field", ("board.py", "fault=leak"), ("isolation", "event-handling", "second-tab")),
    Mode("board loop", "field", ("board.py",), ("single-connection", "component-sharing"), LOOP),
)


def run() -> None:
    """Run each mode, and print its distinct sets and the findings that are not in all of them."""
    kinds = os.environ.get("KINDS", "embedded node field").split()
    print("| server | mode | runs | sets of findings | verdicts of scenarios | findings |\n|---|---|--:|--:|--:|--:|")
    for mode in MODES:
        if mode.kind in kinds:
            findings, verdicts = asyncio.run(_runs_of(mode))
            always = frozenset.intersection(*findings)
            row = (mode.kind, mode.name, RUNS, len(findings), len(verdicts), len(always))
            print(f"| {' | '.join(map(str, row))} |", flush=True)
            for counts in (findings, verdicts):
                common = frozenset.intersection(*counts)
                for seen, times in counts.most_common() if len(counts) > 1 else ():
                    print(f"    {times} times: {sorted(seen - common)}", flush=True)


async def _runs_of(mode: Mode) -> tuple[Counter[Seen], Counter[Seen]]:
    findings, verdicts = Counter[Seen](), Counter[Seen]()
    with _server(mode) as url:
        for _ in range(RUNS):
            report = (await _verified(mode, url)).report
            findings[frozenset(map(_key, report.findings))] += 1
            verdicts[frozenset((each.id, each.verdict) for each in report.scenarios)] += 1
    return findings, verdicts


def _key(finding: Finding) -> tuple[str, ...]:
    cause = finding.cause.id if finding.cause else ""
    return (finding.scenario or "", finding.rule, finding.severity, finding.user or "", cause)


async def _verified(mode: Mode, url: str | None) -> VerifyOutcome:
    settings = {name.replace(".", "__"): value for name, value in mode.settings.items()}
    if mode.kind == "embedded":
        plan = plan_run(**settings)
        assert isinstance(plan.servers, EmbeddedServers)
        if "reject" in mode.options:
            plan.servers._policy = SecondConnectionPolicy.REJECT
        else:
            plan.servers._faults = frozenset(fault for fault, _, _ in FAULTS if fault in mode.options)
        return await run_verify(plan)
    if mode.kind == "node":
        return await run_verify(plan_run(*mode.scenarios, url=url, **settings))
    flags = {**FIELD_TOKENS, "target.url": url, "verify.window": "1s", **mode.settings}
    toml = FIELD / "toml" / f"{mode.options[0].partition('.')[0]}.toml"
    with TemporaryDirectory() as folder:
        shutil.copy(toml, Path(folder, "wscheck.toml"))
        config = load_config(flags, directory=Path(folder), environ={})
    return await run_verify(plan_verify_run(config, mode.scenarios))


@contextmanager
def _server(mode: Mode) -> Iterator[str | None]:
    if mode.kind == "embedded":
        yield None
        return
    if mode.kind == "node":
        with node_backend(*mode.options) as backend:
            yield backend.url
        return
    with field_server(*mode.options) as url:
        yield url


@contextmanager
def field_server(file: str, *options: str) -> Iterator[str]:
    """Run a server of the field corpus on a free port and yield its URL."""
    port = str(score.free_port())
    program = "node" if file.endswith("js") else str(score.PYTHON)
    process = subprocess.Popen([program, file, port, *options], cwd=score.SERVERS, start_new_session=True)
    try:
        score.wait_for(score.Places({"port": port}), [process])
        yield f"http://127.0.0.1:{port}"
    finally:
        score.end(process)
