"""Connections of one page to several servers, and to one server with two names."""

from itertools import count

import pytest

from wscheck.detect.engine import RuleOptions
from wscheck.model.events import Connected, PhaseEnded
from wscheck.model.findings import Bar, Finding
from wscheck.observe.traffic import Initiator, TrafficDemux
from wscheck.run.page_report import evaluate_pages

PAGE = Initiator(target_id="T1", page="tab 1", target="page http://h/")
ENGINE = "?EIO=4&transport=websocket"


class ObservedPage:
    """Connections of a page, opened a second apart."""

    def __init__(self, target: str = "") -> None:
        self.traffic = TrafficDemux(source="browser", target=target)
        self._at = count(100.0)

    def connect(self, url: str, user: str | None = "ann") -> str:
        """Open a connection, and return its key."""
        at = next(self._at)
        key = f"{at:g}"
        self.traffic.on_websocket_created(key, f"ws://{url}/{ENGINE}", at, initiator=PAGE)
        auth = f'{{"userId":"{user}"}}' if user else ""
        shake = f'0{{"sid":"E{key}","upgrades":[],"pingInterval":25000,"pingTimeout":20000}}'
        for text, outgoing in ((shake, False), (f"40{auth}", True), (f'40{{"sid":"S{key}"}}', False)):
            self.traffic.on_frame(key, at, text, outgoing=outgoing)
        return key

    def replace(self, key: str, seconds_later: float = 0.1) -> None:
        self.traffic.on_frame(key, next(self._at) - 1 + seconds_later, "41", outgoing=False)

    @property
    def users(self) -> list[str | None]:
        """Users of the connections, in the order of opening."""
        return [event.user for event in self.traffic.events() if isinstance(event, Connected)]

    def findings(self) -> list[Finding]:
        events = [*self.traffic.events(), PhaseEnded(at=next(self._at), source="browser")]
        return evaluate_pages(events, RuleOptions(), Bar(), target="page").findings


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ("chat.example.com/socket.io", "chat.example.com"),
        ("h:8001/socket.io", "h:8001"),
        ("h/other/socket.io", "h/other/socket.io"),
    ],
)
def test_another_host_port_or_path_is_another_server(other: str, name: str) -> None:
    page = ObservedPage()
    for url in ("h/socket.io", other, "h/socket.io"):
        page.connect(url)
    assert page.users == ["ann", f"ann at {name}", "ann"]
    assert {finding.user for finding in page.findings()} == {"ann"}
    first, rest = "h/socket.io", name if "/" in name else f"{name}/socket.io"
    assert page.traffic.server_note == f"Connections went to 2 endpoints, each evaluated separately: {first}, {rest}."


@pytest.mark.parametrize(
    "other", ["localhost:80/socket.io/", "127.0.0.1/socket.io", "[::1]:80/socket.io", "LOCALHOST/socket.io"]
)
def test_loopback_names_and_the_default_port_are_one_server(other: str) -> None:
    page = ObservedPage()
    page.connect("localhost/socket.io")
    page.connect(other)
    assert page.users == ["ann", "ann"]
    assert page.traffic.server_note == ""


def test_a_replacement_shows_that_two_names_are_one_server() -> None:
    page = ObservedPage()
    old = page.connect("h/socket.io")
    page.connect("api.h/socket.io")
    page.replace(old)
    assert page.users == ["ann", "ann"]
    assert "connection-replaced" in {finding.rule for finding in page.findings()}


def test_a_replacement_on_one_server_merges_no_other() -> None:
    page = ObservedPage()
    old = page.connect("h/socket.io")
    page.connect("chat.h/socket.io")
    page.connect("h/socket.io")
    page.replace(old)
    assert page.users == ["ann", "ann at chat.h", "ann"]


def test_a_disconnect_much_later_merges_no_server() -> None:
    page = ObservedPage()
    old = page.connect("h/socket.io")
    page.connect("chat.h/socket.io")
    page.replace(old, seconds_later=2.0)
    assert page.users == ["ann", "ann at chat.h"]


def test_the_main_server_is_the_target_or_the_one_that_knows_the_user() -> None:
    page = ObservedPage()
    for url, user in (("widget.com/socket.io", None), ("h/socket.io", "ann"), ("h/socket.io", "ann")):
        page.connect(url, user)
    assert page.users == ["(user of tab 1)", "ann", "ann"]
    page.connect("widget.com/socket.io")
    assert page.users == ["ann at widget.com", "ann", "ann", "ann at widget.com"]
    page = ObservedPage(target="http://bots.h/")
    for url in ("h/socket.io", "h/socket.io", "bots.h/socket.io"):
        page.connect(url)
    assert page.users == ["ann at h", "ann at h", "ann"]
