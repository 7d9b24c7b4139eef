"""What a server's log proves beside a run: silence is a finding, other words are not, and replacements are enough."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.run.verify.runs import planned, replayed, told
from wscheck.backend.log_writer import LogFormat, ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.model.errors import UsageError
from wscheck.model.findings import Verdict
from wscheck.observe.tailing.follower import LogFollower
from wscheck.run.verify.run import VerifyOutcome, run_verify

Words = Callable[[str], str]
JOINED = "WebSocket client connected"


def peers(record: str) -> str:
    """The words of another application."""
    swaps = {JOINED: "peer joined", "WebSocket client disconnected": "peer left", "Replacing existing": "kick"}
    swaps |= {"socketId": "conn", "userId": "who", "oldSocketId": "from", "newSocketId": "to"}
    for ours, theirs in swaps.items():
        record = record.replace(ours, theirs)
    return record


async def judged(
    words: Words,
    folder: Path,
    *markers: str,
    keys: tuple[str, ...] = (),
    style: LogFormat = LogFormat.JSON,
    client: str = "unified",
) -> VerifyOutcome:
    """single-connection at a server that logs every record as `words` makes it."""
    log = folder / "server.log"
    with log.open("w", buffering=1) as file:
        backend = ReferenceBackend(ServerLogWriter(lambda record: print(words(record), end="", file=file), style))
        async with serve_backend(backend) as url:
            more: dict[str, Any] = {"verify__server_log": [str(log)], "verify__client": client}
            asked = planned("single-connection", url=url, markers=markers, keys=keys, **more)
            return await run_verify(asked)


@pytest.mark.parametrize("style", LogFormat)
async def test_a_log_in_other_words_is_inconclusive_quoted_and_read_as_proposed(
    tmp_path: Path, style: LogFormat
) -> None:
    outcome = await judged(peers, tmp_path, style=style)
    (single,) = outcome.report.scenarios
    assert (single.verdict, single.findings) == (Verdict.INCONCLUSIVE, []), told(outcome)
    said, quoted = single.reason.split(". It says: ")
    assert "peer joined" in quoted and "conn" in quoted
    begun, options = said.split(" not known: read them with ")
    assert begun.endswith("server.log tells of connections in words that are")
    proposed, _, or_else = options.partition(", or ")
    assert or_else == "name them in [logs.markers] of wscheck.toml"
    assert replayed(outcome) == outcome.report.scenarios

    flags, texts = shlex.split(proposed)[::2], shlex.split(proposed)[1::2]
    markers = [text for flag, text in zip(flags, texts, strict=True) if flag == "--marker"]
    keys = [text for flag, text in zip(flags, texts, strict=True) if flag == "--key"]
    assert (markers[0], keys) == ("connected=peer joined", ["user=who", "sid=conn"])
    outcome = await judged(peers, tmp_path, *markers, keys=tuple(keys), style=style)
    assert outcome.report.verdict is Verdict.PASSED, told(outcome)


async def test_words_for_which_no_options_can_be_told_are_quoted_alone(tmp_path: Path) -> None:
    outcome = await judged(
        lambda record: peers(record).replace("joined", "says hi").replace("left", "says bye"), tmp_path
    )
    (single,) = outcome.report.scenarios
    assert "in words that are not known: name them with --marker or in [logs.markers]" in single.reason
    assert "It says: " in single.reason and "peer says hi" in single.reason


async def test_what_the_client_saw_fails_in_whatever_words_the_log_tells_it(tmp_path: Path) -> None:
    outcome = await judged(peers, tmp_path, client="per-component")
    rules = {finding.rule for finding in outcome.report.findings}
    assert outcome.report.verdict is Verdict.FAILED and "connection-replaced" in rules and "log-silent" not in rules


@pytest.mark.parametrize("words", [lambda record: "GET /index.html 200\n", lambda record: ""], ids=["else", "nothing"])
async def test_a_log_that_speaks_of_other_things_or_of_nothing_is_silent(words: Words, tmp_path: Path) -> None:
    outcome = await judged(words, tmp_path)
    assert [finding.rule for finding in outcome.report.findings] == ["log-silent"], told(outcome)
    assert outcome.report.verdict is Verdict.FAILED


async def test_a_log_that_tells_of_replacements_alone_has_shown_so_in_the_control(tmp_path: Path) -> None:
    outcome = await judged(lambda record: record if "Replacing" in record else "", tmp_path)
    assert outcome.report.verdict is Verdict.PASSED, told(outcome)
    assert replayed(outcome) == outcome.report.scenarios


async def test_a_log_that_does_not_say_whose_connection_it_was_proves_nothing(tmp_path: Path) -> None:
    outcome = await judged(lambda record: f"{JOINED} (3 total)\n" if JOINED in record else "", tmp_path)
    (single,) = outcome.report.scenarios
    assert single.verdict is Verdict.INCONCLUSIVE and "without saying whose" in single.reason, told(outcome)


async def test_a_log_that_cannot_be_read_proves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    why = "cannot be read beyond byte 7: Input/output error"
    monkeypatch.setattr(LogFollower, "read", lambda log, now: log.damaged.update({log.name: why}) or iter(()))
    outcome = await judged(str, tmp_path)
    (single,) = outcome.report.scenarios
    assert (single.verdict, single.findings) == (Verdict.INCONCLUSIVE, []), told(outcome)
    assert single.reason == f"{tmp_path / 'server.log'} {why}"
    assert replayed(outcome) == outcome.report.scenarios


def test_words_for_a_log_that_nobody_gave_are_refused() -> None:
    with pytest.raises(UsageError, match="describe a log, and none was given"):
        planned(url="http://127.0.0.1:9", markers=("connected=peer joined",))
