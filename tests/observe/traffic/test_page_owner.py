"""Users of connections that one page has at the same time."""

import pytest

from wscheck.model.events import Connected, Disconnected, Event
from wscheck.observe.traffic import Initiator, TrafficDemux

OPEN = '0{"sid":"E%s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'


class Pages:
    """Websockets of pages, each with an auth object as text, "" for none."""

    def __init__(self) -> None:
        self.traffic, self.count = TrafficDemux(source="browser"), 0

    def open(self, at: float, auth: str = "", page: str = "tab 1", host: str = "localhost") -> str:
        self.count += 1
        key = str(self.count)
        url = f"ws://{host}/socket.io/?EIO=4&transport=websocket"
        self.traffic.on_websocket_created(key, url, at, initiator=Initiator(page, page, "page http://localhost/"))
        self.traffic.on_frame(key, at + 0.1, OPEN % key, outgoing=False)
        self.traffic.on_frame(key, at + 0.2, f"40{auth}", outgoing=True)
        self.traffic.on_frame(key, at + 0.3, f'40{{"sid":"S{key}"}}', outgoing=False)
        return key

    def close(self, key: str, at: float) -> None:
        self.traffic.on_closed(key, at)

    def events(self) -> list[Event]:
        return self.traffic.events()

    def users(self) -> list[str | None]:
        return [event.user for event in self.events() if isinstance(event, Connected)]


def user(name: str) -> str:
    return f'{{"userId":"{name}"}}'


@pytest.mark.parametrize("auths", [("", user("ann")), (user("ann"), ""), ("", user("ann"), "")])
def test_a_connection_without_user_belongs_to_the_user_of_its_page(auths: tuple[str, ...]) -> None:
    pages = Pages()
    for at, auth in enumerate(auths):
        pages.open(float(at), auth)
    assert set(pages.users()) == {"ann"}


def test_two_users_of_one_page_at_once_are_one_holder() -> None:
    pages = Pages()
    first = pages.open(1.0, user("ann"))
    pages.open(5.0, user("bea"))
    pages.close(first, 9.0)
    assert pages.users() == ["ann and bea", "ann and bea"]
    assert [event.user for event in pages.events() if isinstance(event, Disconnected)] == ["ann and bea"]


def test_users_one_after_the_other_keep_their_names() -> None:
    pages = Pages()
    guest = pages.open(1.0)
    pages.close(guest, 2.0)
    first = pages.open(3.0, user("ann"))
    pages.close(first, 4.0)
    pages.open(5.0, user("bea"))
    assert pages.users() == ["(user of tab 1)", "ann", "bea"]


def test_users_of_several_pages_or_servers_keep_their_names() -> None:
    pages = Pages()
    pages.open(1.0, user("ann"))
    pages.open(2.0, page="tab 2")
    pages.open(3.0, user("guest"), host="elsewhere")
    assert pages.users() == ["ann", "(user of tab 2)", "guest"]


def test_pages_without_any_known_user_are_counted_separately() -> None:
    pages = Pages()
    pages.open(1.0)
    pages.open(2.0)
    pages.open(3.0, page="tab 2")
    assert pages.users() == ["(user of tab 1)", "(user of tab 1)", "(user of tab 2)"]
