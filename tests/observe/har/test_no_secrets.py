"""Test that no report of `wscheck har` contains a secret that the browser recorded."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests import planted
from tests.cli import wscheck
from tests.observe.har.test_bad import entry, har
from tests.observe.har.test_endings import STARTED_AT, document
from wscheck.report import REPORTERS
from wscheck.run.har.run import HarPlan, run_har

SHAKE = '0{"sid":"E%d","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'


def connections(texts: list[str]) -> list[dict[str, object]]:
    """Return a websocket per text, which is everywhere in its URL, headers and frames."""
    entries: list[dict[str, object]] = []
    for number, text in enumerate(texts):
        written = json.dumps(text)
        frames = [
            ("receive", SHAKE % number),
            ("send", f'40{{"token":{written},"userId":{written}}}'),
            ("receive", f'40{{"sid":"S{number}"}}'),
            ("receive", f'42["message",{{"authorization":{written},"text":{written}}}]'),
            ("send", f'42["login",{written}]'),
            ("receive", f"42[{written},1]"),
            ("receive", f'44{{"message":{written}}}'),
            ("receive", f"41/{text}"),
        ]
        messages = [
            {"type": kind, "time": STARTED_AT + 0.05 * at, "opcode": 1, "data": data}
            for at, (kind, data) in enumerate(frames, 1)
        ]
        token = quote(text, safe="")
        url = f"ws://ada:{token}@localhost/socket.io/?EIO=4&transport=websocket&token={token}&{token}={token}"
        cookie = [{"name": "Authorization", "value": text}, {"name": "Cookie", "value": f"session={text}"}]
        socket = entry(url, 101, time=900.0, pageref="page_1", _webSocketMessages=messages)
        socket["request"] = {**socket["request"], "headers": cookie}
        entries.append(socket)
    return entries


def test_no_format_contains_a_secret_of_the_traffic(tmp_path: Path) -> None:
    known = planted.KNOWN[:3]
    texts = [text for text in planted.written() if not planted.found_in(text, planted.KNOWN[3:])]
    later = document(204, "page_1", "49.000")
    har(tmp_path / "page.har", document(200, "page_1", "39.100"), *connections(texts), later)
    names: dict[str, Any] = dict(
        zip(("WSCHECK_TOKEN", "WSCHECK_SECOND_TOKEN", "WSCHECK_EXPIRED_TOKEN"), known, strict=True)
    )
    formats = [part for name in REPORTERS for part in ("--format", f"{name}=report.{name}")]
    ran = wscheck("har", "page.har", *formats, cwd=tmp_path, **names)
    assert ran.code in (1, 3), ran.said
    reports = {path.name: path.read_text() for path in tmp_path.glob("report.*")}
    assert len(reports) == len(REPORTERS) and json.loads(reports["report.json"])["connections"]
    leaks = {name: found for name, text in {**reports, "": ran.said}.items() if (found := planted.found_in(text))}
    assert leaks == {}


def test_a_cookie_that_is_also_an_id_or_part_of_a_name_is_hidden_with_the_same_verdict(tmp_path: Path) -> None:
    cookie, answer = "8DwkNhFdnXsiVpzz63Ff", "NPjc01T5GOBUSZGi6HWG"
    verdicts = []
    for secret, given in ((cookie, answer), ("S1", "news")):
        socket, other = connections(["a", "b"])
        socket["request"] = {**socket["request"], "headers": [{"name": "Cookie", "value": f"x={cookie}; y=1"}]}  # type: ignore[dict-item]
        socket["response"] = {"status": 101, "headers": [{"name": "Set-Cookie", "value": f"s={answer}; Path=/"}]}
        frames = json.dumps([socket, other]).replace("S0", secret).replace("message", given)
        contents = har(tmp_path / "page.har", *json.loads(frames))
        outcome = run_har(HarPlan(files=(contents,)))
        assert cookie not in str(outcome) and answer not in str(outcome)
        verdicts.append(outcome.report.verdict)
        assert len(outcome.report.connections) == 2
    assert verdicts[0] is verdicts[1]
