"""Runs of `wscheck run_verify` inside the test's own process, for the many that need no command line."""

from pathlib import Path
from tempfile import TemporaryDirectory

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


def planned(
    *scenarios: str,
    url: str | None = None,
    window: str = "500ms",
    markers: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
    **settings: object,
) -> VerifyRun:
    """The run that these settings (dots as double underscores) ask for, as two users of the reference backends."""
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    known = {"identity.user_id": USER, "identity.second_user_id": SECOND, "verify.window": window}
    if url is not None:
        known |= {"identity.token": token_for(USER), "identity.second_token": token_for(SECOND)}
    return plan_verify_run(load_config({**known, "target.url": url, **flags}, environ={}), scenarios, markers, keys)


async def run(*scenarios: str, url: str | None = None, window: str = "500ms", **settings: object) -> VerifyOutcome:
    """Drive `scenarios` (all without any) at `url`, or at the embedded backend."""
    return await run_verify(planned(*scenarios, url=url, window=window, **settings))


async def run_embedded(
    *scenarios: str,
    faults: tuple[Fault, ...] = (),
    policy: SecondConnectionPolicy = SecondConnectionPolicy.REPLACE,
    contract: Contract = DOCUMENTED_CONTRACT,
) -> VerifyOutcome:
    """Drive `scenarios` at an embedded backend that misbehaves, or has another policy, or of which less is known."""
    asked = planned(*scenarios)
    assert isinstance(asked.servers, EmbeddedServers)
    settings = msgspec.structs.replace(asked.servers._settings, contract=contract)
    servers = EmbeddedServers(settings, policy=policy, faults=faults)
    return await run_verify(msgspec.structs.replace(asked, servers=servers))


def told(outcome: VerifyOutcome) -> str:
    """What went wrong, for a failing test."""
    lines = [f"{r.id}: {r.verdict} {r.reason}" for r in outcome.report.scenarios]
    return "\n".join([*lines, *(f.message for f in outcome.report.findings)])


def replayed(outcome: VerifyOutcome) -> list[ScenarioResult]:
    """What the recording of this run comes to: the same, whatever the run was."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "run.ndjson")
        file.write_bytes(recorded(outcome.report, outcome.events))
        return evaluate_recording(file).report.scenarios
