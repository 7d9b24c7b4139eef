"""Tests of the server log of a run: a silent log is a finding, an unknown wording is not."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.run.verify.runs import describe_outcome, plan_run, results_from_recording
from wscheck.backend.log_writer import LogFormat, ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.model.errors import UsageError
from wscheck.model.findings import Verdict
from wscheck.observe.tailing.follower import LogFollower
from wscheck.run.verify.run import VerifyOutcome, run_verify

Rewording = Callable[[str], str]
JOINED = "WebSocket client connected"


def with_other_wording(record: str) -> str:
    """Return the record in the wording of another application."""
    swaps = {JOINED: "peer joined", "WebSocket client disconnected": "peer left", "Replacing existing": "kick"}
    swaps |= {"socketId": "conn", "userId": "who", "oldSocketId": "from", "newSocketId": "to"}
    for ours, theirs in swaps.items():
        record = record.replace(ours, theirs)
    return record


async def run_with_log(
    reword: Rewording,
    folder: Path,
    *markers: str,
    keys: tuple[str, ...] = (),
    style: LogFormat = LogFormat.JSON,
    client: str = "unified",
) -> VerifyOutcome:
    """Run single-connection against a server that logs every record as `reword` returns it."""
    log = folder / "server.log"
    with log.open("w", buffering=1) as file:
        backend = ReferenceBackend(ServerLogWriter(lambda record: print(reword(record), end="", file=file), style))
        async with serve_backend(backend) as url:
            more: dict[str, Any] = {"verify__server_log": [str(log)], "verify__client": client}
            verify_run = plan_run("single-connection", url=url, markers=markers, keys=keys, **more)
            return await run_verify(verify_run)


@pytest.mark.parametrize("style", LogFormat)
async def test_a_log_with_unknown_wording_is_quoted_and_readable_with_the_proposed_options(
    tmp_path: Path, style: LogFormat
) -> None:
    outcome = await run_with_log(with_other_wording, tmp_path, style=style)
    (single,) = outcome.report.scenarios
    assert (single.verdict, single.findings) == (Verdict.INCONCLUSIVE, []), describe_outcome(outcome)
    said, quoted = single.reason.split(". For example: ")
    assert "peer joined" in quoted and "conn" in quoted
    begun, options = said.split(" not known: read it with ")
    assert begun.endswith("server.log reports connections in a wording that is")
    proposed, _, or_else = options.partition(", or ")
    assert or_else == "describe it in [logs.markers] of wscheck.toml"
    assert results_from_recording(outcome) == outcome.report.scenarios

    flags, texts = shlex.split(proposed)[::2], shlex.split(proposed)[1::2]
    markers = [text for flag, text in zip(flags, texts, strict=True) if flag == "--marker"]
    keys = [text for flag, text in zip(flags, texts, strict=True) if flag == "--key"]
    assert (markers[0], keys) == ("connected=peer joined", ["sid=conn", "user=who"])
    outcome = await run_with_log(with_other_wording, tmp_path, *markers, keys=tuple(keys), style=style)
    assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)


async def test_a_wording_without_proposed_options_is_quoted(tmp_path: Path) -> None:
    outcome = await run_with_log(
        lambda record: with_other_wording(record).replace("joined", "says hi").replace("left", "says bye"), tmp_path
    )
    (single,) = outcome.report.scenarios
    assert "in a wording that is not known: describe it with --marker or in [logs.markers]" in single.reason
    assert "For example: " in single.reason and "peer says hi" in single.reason


async def test_a_fault_that_the_client_saw_fails_whatever_the_wording_of_the_log(tmp_path: Path) -> None:
    outcome = await run_with_log(with_other_wording, tmp_path, client="per-component")
    rules = {finding.rule for finding in outcome.report.findings}
    assert outcome.report.verdict is Verdict.FAILED and "connection-replaced" in rules and "log-silent" not in rules


@pytest.mark.parametrize("reword", [lambda record: "GET /index.html 200\n", lambda record: ""], ids=["else", "nothing"])
async def test_an_unrelated_or_empty_log_is_silent(reword: Rewording, tmp_path: Path) -> None:
    outcome = await run_with_log(reword, tmp_path)
    assert [finding.rule for finding in outcome.report.findings] == ["log-silent"], describe_outcome(outcome)
    assert outcome.report.verdict is Verdict.FAILED


async def test_a_log_of_replacements_only_is_not_silent(tmp_path: Path) -> None:
    outcome = await run_with_log(lambda record: record if "Replacing" in record else "", tmp_path)
    assert outcome.report.verdict is Verdict.PASSED, describe_outcome(outcome)
    assert results_from_recording(outcome) == outcome.report.scenarios


async def test_a_log_without_user_and_socket_id_is_inconclusive(tmp_path: Path) -> None:
    outcome = await run_with_log(lambda record: f"{JOINED} (3 total)\n" if JOINED in record else "", tmp_path)
    (single,) = outcome.report.scenarios
    assert single.verdict is Verdict.INCONCLUSIVE, describe_outcome(outcome)
    assert "connections without ids" in single.reason


async def test_an_unreadable_log_is_inconclusive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    why = "cannot be read beyond byte 7: Input/output error"
    monkeypatch.setattr(LogFollower, "read", lambda log, now: log.damaged.update({log.name: why}) or iter(()))
    outcome = await run_with_log(str, tmp_path)
    (single,) = outcome.report.scenarios
    assert (single.verdict, single.findings) == (Verdict.INCONCLUSIVE, []), describe_outcome(outcome)
    assert single.reason == f"{tmp_path / 'server.log'} {why}"
    assert results_from_recording(outcome) == outcome.report.scenarios


def test_markers_without_a_log_are_refused() -> None:
    with pytest.raises(UsageError, match="describe a log, and none was given"):
        plan_run(url="http://127.0.0.1:9", markers=("connected=peer joined",))
