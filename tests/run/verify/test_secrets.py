"""Tests that no output contains a token, even if the server sends it back."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from tests import planted
from tests.bad_servers import answering, serving, talking
from tests.cli import wscheck
from tests.node_backend import Backend, node_backend
from wscheck.backend.faults import Fault
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.config.loading import load_config
from wscheck.model.events import AnyEvent, Connected, Disconnected, Replaced
from wscheck.model.findings import Verdict
from wscheck.model.report import VerifyReport
from wscheck.report import REPORTERS
from wscheck.report.recording import render
from wscheck.run.verify.plan import plan_verify_run
from wscheck.run.verify.run import evaluate_recording, run_verify
from wscheck.scenarios import SCENARIOS

# Does not look like a secret, so that only its value can be redacted.
TOKEN = "token-of-user_123"
SECOND = "token-of-user_456"


def formats(folder: Path) -> list[str]:
    return [part for name in REPORTERS for part in ("--format", f"{name}={folder / f'report.{name}'}")]


def assert_clean(folder: Path, said: str, *secrets: str) -> None:
    artefacts = {path.name: path.read_text(errors="replace") for path in folder.iterdir()}
    assert len(artefacts) >= len(REPORTERS)
    for name, text in {**artefacts, "the screen": said}.items():
        assert text or name == "the screen", f"{name} is empty"
        for secret in secrets:
            assert secret not in text, name


FAULT = ("--client", "per-component", "--scenario", "single-connection", "--scenario", "auth-refused")


@pytest.mark.parametrize(("options", "code"), [((), 0), (FAULT, 1)], ids=["pass", "fail"])
def test_no_report_of_a_run_contains_a_token(tmp_path: Path, options: tuple[str, ...], code: int) -> None:
    summary = tmp_path / "summary.md"
    with node_backend("--ping-interval", "700", "--ping-timeout", "700") as backend:
        ran = wscheck(
            *("verify", backend.url, *options, "--server-log", str(backend.log), "--window", "300ms"),
            *("--second-user-id", "user_456", "--narrate", *formats(tmp_path)),
            WSCHECK_TOKEN=TOKEN,
            WSCHECK_SECOND_TOKEN=SECOND,
            WSCHECK_DEBUG="1",
            GITHUB_STEP_SUMMARY=str(summary),
        )
    assert ran.code == code, ran.said
    # The mask command tells GitHub which text to hide, so it must contain the token.
    said = "\n".join(line for line in ran.said.splitlines() if not line.startswith("::add-mask::"))
    assert_clean(tmp_path, said, TOKEN, SECOND)
    if code == 0:
        assert_every_scenario_passed(tmp_path, backend)


def assert_every_scenario_passed(folder: Path, backend: Backend) -> None:
    """Assert that the full run against a Node server passes, also from its recording."""
    report = json.loads((folder / "report.json").read_bytes())
    assert {each["id"]: each["verdict"] for each in report["scenarios"]} == dict.fromkeys(SCENARIOS, Verdict.PASSED)
    assert {each["control"]["verdict"] for each in report["scenarios"]} == {Verdict.FAILED}
    again = evaluate_recording(folder / "report.ndjson")
    assert msgspec.to_builtins(again.report.scenarios) == report["scenarios"]
    logged = {type(event) for event in again.events if event.source == "server-log" and event.path == str(backend.log)}
    assert {Connected, Replaced, Disconnected} <= logged


KNOWN = planted.KNOWN[:3]
PLANTED = [text for text in planted.written() if not planted.found_in(text, planted.KNOWN[3:])]


async def _echo(ws: web.WebSocketResponse) -> None:
    await ws.send_str(f"40{json.dumps({'sid': PLANTED[0]})}")
    for text in PLANTED:
        await ws.send_str(f"42{json.dumps(['bot_status_update', {'you sent': text, text: 1}])}")
        await ws.send_str(f"42{json.dumps([text, 1])}")
    await asyncio.sleep(0.1)
    await ws.send_str(f"44{json.dumps({'message': PLANTED[1]})}")


async def test_secrets_that_the_server_sends_back_are_redacted(tmp_path: Path) -> None:
    async with serving(talking(_echo)) as url:
        ran = await asyncio.to_thread(
            wscheck,
            *("verify", url, "--transports", "websocket", "--window", "300ms", "--timeout", "2s", "--narrate"),
            *("--scenario", "single-connection", "--second-user-id", "user_456", *formats(tmp_path)),
            WSCHECK_TOKEN=KNOWN[0],
            WSCHECK_SECOND_TOKEN=KNOWN[1],
            WSCHECK_EXPIRED_TOKEN=KNOWN[2],
        )
    assert "Traceback" not in ran.said and "hidden-3" in ran.said
    artefacts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert len(artefacts) == len(REPORTERS)
    assert {name: planted.found_in(text) for name, text in {**artefacts, "the screen": ran.said}.items()} == {
        name: [] for name in (*artefacts, "the screen")
    }


async def _named_after(ws: web.WebSocketResponse) -> None:
    await ws.send_str(f'40{{"sid":"{TOKEN}"}}')
    await asyncio.sleep(0.1)


async def test_a_token_as_socket_id_is_redacted(tmp_path: Path) -> None:
    async with serving(talking(_named_after)) as url:
        ran = await asyncio.to_thread(
            wscheck,
            *("verify", url, "--transports", "websocket", "--window", "300ms", "--timeout", "1s"),
            *("--scenario", "single-connection", *formats(tmp_path)),
            WSCHECK_TOKEN=TOKEN,
        )
    assert ran.code == 3, ran.said
    assert_clean(tmp_path, ran.said, TOKEN)


async def test_a_token_at_the_end_of_a_truncated_answer_is_redacted() -> None:
    async with serving(answering(404, "x" * 50 + TOKEN)) as url:
        ran = await asyncio.to_thread(wscheck, "verify", url, WSCHECK_TOKEN=TOKEN)
    assert ran.code == 3 and TOKEN[:8] not in ran.said, ran.said


async def _refuse(ws: web.WebSocketResponse) -> None:
    await ws.send_str(f'44{{"message":"I do not know {TOKEN}"}}')


async def test_a_token_in_a_refusal_is_redacted() -> None:
    async with serving(talking(_refuse)) as url:
        ran = await asyncio.to_thread(
            wscheck, "verify", url, "--transports", "websocket", "--timeout", "2s", WSCHECK_TOKEN=TOKEN
        )
    assert ran.code == 3 and "I do not know hidden-1" in ran.err, ran.said


def test_the_configuration_is_shown_without_the_token(tmp_path: Path) -> None:
    ran = wscheck("config", WSCHECK_TOKEN=TOKEN)
    assert ran.code == 0 and "WSCHECK_TOKEN" in ran.out and TOKEN not in ran.said


USERS = "mira", "tomas"
ODD_TOKENS = {
    "as-always": ("sesame-1", "sesame-2"),
    "user": ("mira", "tomas"),
    "event": ("bot_status_update", "message_sync"),
}


@pytest.mark.parametrize("leaks", [False, True], ids=["healthy", "leak"])
async def test_a_token_that_is_a_user_or_an_event_changes_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaks: bool
) -> None:
    owners = {token: user for tokens in ODD_TOKENS.values() for token, user in zip(tokens, USERS, strict=True)}
    monkeypatch.setattr("wscheck.backend.server.token_owner", owners.get)
    verdicts = set()
    outcomes = await asyncio.gather(*(checked(*tokens, leaks=leaks) for tokens in ODD_TOKENS.values()))
    for tokens, (report, events) in zip(ODD_TOKENS.values(), outcomes, strict=True):
        verdicts.add(tuple((each.id, each.verdict, tuple(f.rule for f in each.findings)) for each in report.scenarios))
        recording = tmp_path / "run.ndjson"
        recording.write_bytes(render(report, events))
        again = evaluate_recording(recording).report
        assert [each.verdict for each in again.scenarios] == [each.verdict for each in report.scenarios]
        for name in REPORTERS:
            rendered = REPORTERS[name]()(report, events)
            text = rendered if isinstance(rendered, str) else rendered.decode()
            assert not [token for token in tokens if token in text], name
    (verdict_of,) = [{scenario: verdict for scenario, verdict, _ in each} for each in verdicts]
    assert verdict_of["isolation"] is (Verdict.FAILED if leaks else Verdict.PASSED)


async def checked(token: str, second_token: str, *, leaks: bool) -> tuple[VerifyReport, list[AnyEvent]]:
    """Check two scenarios against a server of its own, as both users."""
    user, second_user = USERS
    faults = frozenset({Fault.LEAK_EVENTS} if leaks else ())
    async with serve_backend(ReferenceBackend(ServerLogWriter(None), faults=faults)) as url:
        settings = {
            **{"target.url": url, "identity.user_id": user, "identity.second_user_id": second_user},
            **{"identity.token": token, "identity.second_token": second_token, "verify.window": "300ms"},
        }
        config = load_config(settings, directory=None, environ={})
        outcome = await run_verify(plan_verify_run(config, ["isolation", "event-handling"]))
        return outcome.report, outcome.events
