"""A page may hold one connection to each of several servers: which are several, and which only have two names."""

from itertools import count

import pytest

from wscheck.detect.engine import RuleOptions
from wscheck.model.events import Connected, PhaseEnded
from wscheck.model.findings import Bar, Finding
from wscheck.observe.traffic import Initiator, TrafficDemux
from wscheck.run.page_report import report

PAGE = Initiator(target_id="T1", page="tab 1", target="page http://h/")
ENGINE = "?EIO=4&transport=websocket"


class Watched:
    """A page's connections, each begun a second after the one before."""

    def __init__(self, target: str = "") -> None:
        self.traffic = TrafficDemux(source="browser", target=target)
        self._at = count(100.0)

    def connects(self, url: str, user: str | None = "ann") -> str:
        """Gives the name of the new connection."""
        at = next(self._at)
        key = f"{at:g}"
        self.traffic.on_websocket_created(key, f"ws://{url}/{ENGINE}", at, initiator=PAGE)
        auth = f'{{"userId":"{user}"}}' if user else ""
        shake = f'0{{"sid":"E{key}","upgrades":[],"pingInterval":25000,"pingTimeout":20000}}'
        for text, outgoing in ((shake, False), (f"40{auth}", True), (f'40{{"sid":"S{key}"}}', False)):
            self.traffic.on_frame(key, at, text, outgoing=outgoing)
        return key

    def is_kicked(self, key: str, seconds_later: float = 0.1) -> None:
        self.traffic.on_frame(key, next(self._at) - 1 + seconds_later, "41", outgoing=False)

    @property
    def users(self) -> list[str | None]:
        """Of the connections, in the order of their opening."""
        return [event.user for event in self.traffic.events() if isinstance(event, Connected)]

    def findings(self) -> list[Finding]:
        events = [*self.traffic.events(), PhaseEnded(at=next(self._at), source="browser")]
        return report(events, RuleOptions(), Bar(), target="page").findings


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ("chat.example.com/socket.io", "chat.example.com"),
        ("h:8001/socket.io", "h:8001"),
        ("h/browser-sync/socket.io", "h/browser-sync/socket.io"),
    ],
)
def test_another_host_port_or_path_is_another_server(other: str, name: str) -> None:
    page = Watched()
    for url in ("h/socket.io", other, "h/socket.io"):
        page.connects(url)
    assert page.users == ["ann", f"ann at {name}", "ann"]
    assert {finding.user for finding in page.findings()} == {"ann"}
    first, rest = "h/socket.io", name if "/" in name else f"{name}/socket.io"
    assert page.traffic.server_note == f"Connections went to 2 servers, each evaluated separately: {first}, {rest}."


@pytest.mark.parametrize(
    "other", ["localhost:80/socket.io/", "127.0.0.1/socket.io", "[::1]:80/socket.io", "LOCALHOST/socket.io"]
)
def test_the_names_of_this_machine_and_the_usual_port_are_one_server(other: str) -> None:
    page = Watched()
    page.connects("localhost/socket.io")
    page.connects(other)
    assert page.users == ["ann", "ann"]
    assert page.traffic.server_note == ""


def test_a_server_that_ends_one_for_the_other_has_two_names() -> None:
    page = Watched()
    old = page.connects("h/socket.io")
    page.connects("api.h/socket.io")
    page.is_kicked(old)
    assert page.users == ["ann", "ann"]
    assert "connection-replaced" in {finding.rule for finding in page.findings()}


def test_a_kick_that_the_same_server_explains_joins_no_others() -> None:
    page = Watched()
    old = page.connects("h/socket.io")
    page.connects("chat.h/socket.io")
    page.connects("h/socket.io")
    page.is_kicked(old)
    assert page.users == ["ann", "ann at chat.h", "ann"]


def test_a_kick_much_later_joins_none() -> None:
    page = Watched()
    old = page.connects("h/socket.io")
    page.connects("chat.h/socket.io")
    page.is_kicked(old, seconds_later=2.0)
    assert page.users == ["ann", "ann at chat.h"]


def test_the_server_that_is_looked_at_is_the_target_or_the_one_where_the_user_is_known() -> None:
    page = Watched()
    for url, user in (("widget.com/socket.io", None), ("h/socket.io", "ann"), ("h/socket.io", "ann")):
        page.connects(url, user)
    assert page.users == ["(user of tab 1)", "ann", "ann"]
    page.connects("widget.com/socket.io")
    assert page.users == ["(user of tab 1)", "ann", "ann", "ann at widget.com"]
    page = Watched(target="http://bots.h/")
    for url in ("h/socket.io", "h/socket.io", "bots.h/socket.io"):
        page.connects(url)
    assert page.users == ["ann at h", "ann at h", "ann"]
