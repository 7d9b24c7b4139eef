"""Faults of the Node reference backend, and the scenarios of `wscheck verify` that find each: rules and seconds.

Each fault is one option of the server, so without it, the same server must pass.
"""

import asyncio
import time

import msgspec

from tests.node_backend import node_backend
from tests.run.verify.runs import plan_run
from tests.run.verify.test_faults import PING
from wscheck.backend.faults import Fault
from wscheck.model.findings import Severity, Verdict
from wscheck.run.verify.run import VerifyOutcome, run_verify
from wscheck.run.verify.targets import RemoteServer


def run() -> None:
    """Run all scenarios against the server without a fault and with each one, and print what failed."""
    print(f"{'fault':<18}{'verdict':<14}{'s':>5}   scenarios that failed, with their rules")
    for fault in ("", *Fault):
        begun = time.monotonic()
        report = _verify(fault).report
        failed = [
            f"{result.id} ({', '.join(sorted({f.rule for f in result.findings if f.severity is Severity.ERROR}))})"
            for result in report.scenarios
            if result.verdict is Verdict.FAILED
        ]
        seconds = time.monotonic() - begun
        print(f"{fault or '(none)':<18}{report.verdict:<14}{seconds:>5.0f}   {', '.join(failed) or '-'}", flush=True)


def _verify(fault: str) -> VerifyOutcome:
    with node_backend(*(("--fault", fault) if fault else ()), *PING) as backend:
        verify_run = plan_run(url=backend.url, verify__server_log=[str(backend.log)])
        assert isinstance(verify_run.servers, RemoteServer)
        settings = msgspec.structs.replace(verify_run.servers._settings, contract_is_assumed=False)
        verify_run.servers._settings = settings
        return asyncio.run(run_verify(verify_run))
