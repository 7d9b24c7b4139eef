"""Runs of `wscheck verify` in the process of the test, without the command line."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from wscheck.backend.demo_tokens import token_for
from wscheck.backend.faults import Fault, SecondConnectionPolicy
from wscheck.config.event_contract import DOCUMENTED_CONTRACT, Contract
from wscheck.config.loading import load_config
from wscheck.model.report import ScenarioResult
from wscheck.report.recording import render as recorded
from wscheck.run.verify.plan import plan_verify_run
from wscheck.run.verify.run import VerifyOutcome, VerifyRun, evaluate_recording, run_verify
from wscheck.run.verify.targets import EmbeddedServers

USER, SECOND = "user_123", "user_456"


def plan_run(
    *scenarios: str,
    url: str | None = None,
    window: str = "500ms",
    markers: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
    **settings: Any,
) -> VerifyRun:
    """Return the plan for these settings (dots as double underscores), with two users of the reference backends."""
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    defaults: dict[str, Any] = {"identity.user_id": USER, "identity.second_user_id": SECOND, "verify.window": window}
    if url is not None:
        defaults |= {"identity.token": token_for(USER), "identity.second_token": token_for(SECOND)}
    return plan_verify_run(load_config({**defaults, "target.url": url, **flags}, environ={}), scenarios, markers, keys)


async def run(*scenarios: str, url: str | None = None, window: str = "500ms", **settings: Any) -> VerifyOutcome:
    """Run `scenarios` (all by default) against `url`, or against the embedded backend."""
    return await run_verify(plan_run(*scenarios, url=url, window=window, **settings))


async def run_embedded(
    *scenarios: str,
    faults: tuple[Fault, ...] = (),
    policy: SecondConnectionPolicy = SecondConnectionPolicy.REPLACE,
    contract: Contract = DOCUMENTED_CONTRACT,
    **configured: Any,
) -> VerifyOutcome:
    """Run `scenarios` against an embedded backend with these faults, this policy or this contract."""
    verify_run = plan_run(*scenarios, **configured)
    assert isinstance(verify_run.servers, EmbeddedServers)
    settings = msgspec.structs.replace(verify_run.servers._settings, contract=contract)
    servers = EmbeddedServers(settings, policy=policy, faults=faults)
    return await run_verify(msgspec.structs.replace(verify_run, servers=servers))


def describe_outcome(outcome: VerifyOutcome) -> str:
    """Return the verdicts and findings as text, for the message of a failing test."""
    lines = [f"{r.id}: {r.verdict} {r.reason}" for r in outcome.report.scenarios]
    return "\n".join([*lines, *(f.message for f in outcome.report.findings)])


def results_from_recording(outcome: VerifyOutcome) -> list[ScenarioResult]:
    """Return the results from the recording of this run. They must equal those of the run."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "run.ndjson")
        file.write_bytes(recorded(outcome.report, outcome.events))
        return evaluate_recording(file).report.scenarios
