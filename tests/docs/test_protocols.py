"""The page of each protocol states what is seen and who the user is, and its example gives the rule it names."""

import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.run.browser.test_subscription_leaks import (
    CLIENTS,
    NEVER_ENDS,
    VIEW,
    Client,
    Frame,
    mqtt_packet,
    mqtt_text,
    visited,
)
from tests.run.browser.test_subscription_leaks import text as message
from wscheck.detect.engine import Judge
from wscheck.detect.rules.client_id_shared import ClientIdShared
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.detect.rules.subscription_duplicated import SubscriptionDuplicated
from wscheck.model.report import Report
from wscheck.observe.traffic import ConnectionOrigin, Initiator, TrafficDemux
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.protocols.registry import PROTOCOLS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = Initiator("t", "tab 1", "page http://h/")
JWT = "e30." + base64.urlsafe_b64encode(b'{"sub":"ann"}').decode().rstrip("=") + ".c2ln"


def open_connection(traffic: TrafficDemux, key: str, client: Client, at: float, *, url: str = "") -> None:
    traffic.on_websocket_created(key, url or client.url, at, initiator=PAGE)
    traffic.on_accepted(key, at + 0.1, {"sec-websocket-protocol": client.subprotocol} if client.subprotocol else {})
    send(traffic, key, at + 0.2, client.sent)
    for frame in client.received:
        traffic.on_frame(key, at + 0.3, frame, outgoing=False)


def send(traffic: TrafficDemux, key: str, at: float, frames: Iterable[Frame]) -> None:
    for frame in frames:
        traffic.on_frame(key, at, frame, outgoing=True, senders=[frame])


def judged(traffic: TrafficDemux, until: float) -> Report:
    judge = Judge(None, [ClientIdShared, MultipleConnections, SubscriptionDuplicated])
    for event in traffic.events(resolve=lambda session, stack: ConnectionOrigin(opener=VIEW, code=NEVER_ENDS)):
        judge.feed(event)
    judge.advance_to(until)
    return judge.report()


def leaked(client: Client) -> Report:
    """Each visit of a view subscribes and does not unsubscribe."""
    return visited(client, lambda visit: "orders", ends=False)


def subscribed_twice(client: Client) -> Report:
    """Two components subscribe to the same, on one connection."""
    traffic = TrafficDemux(source="browser")
    open_connection(traffic, "ws", client, 1.0)
    for number in (1, 2):
        send(traffic, "ws", 1.0 + number, [client.subscribe(number, "orders")])
        if client.confirm is not None:
            traffic.on_frame("ws", 1.1 + number, client.confirm(number, "orders"), outgoing=False)
    send(traffic, "ws", 20.0, [client.unsubscribe(1, "other")])
    return judged(traffic, 30.0)


def connected_twice(client: Client) -> Report:
    """Two components each open a connection."""
    traffic = TrafficDemux(source="browser")
    for number, session in enumerate(("wbqx0a3z", "m1xk4c5d")):
        open_connection(traffic, session, client, 1.0 + number, url=client.url.replace("abcdefgh", session))
    return judged(traffic, 30.0)


def one_id_twice(client: Client) -> Report:
    """Two clients with one id connect again whenever the broker ended them in favour of the other."""
    traffic = TrafficDemux(source="browser")
    for number in range(6):
        open_connection(traffic, f"ws{number}", client, 1.0 + 2 * number)
        if number:
            traffic.on_closed(f"ws{number - 1}", 1.5 + 2 * number, by_client=False)
    return judged(traffic, 30.0)


EXAMPLES = {
    "graphql": (leaked, "graphql-transport-ws", "subscription-leaked"),
    "phoenix": (leaked, "supabase", "subscription-leaked"),
    "pusher": (connected_twice, "pusher", "multiple-connections"),
    "action-cable": (subscribed_twice, "action-cable", "subscription-duplicated"),
    "signalr": (connected_twice, "signalr", "multiple-connections"),
    "stomp": (subscribed_twice, "stomp", "subscription-duplicated"),
    "sockjs": (connected_twice, "stomp-in-sockjs", "multiple-connections"),
    "mqtt": (one_id_twice, "mqtt", "client-id-shared"),
}
"""Page to what happens in its example, with which client, and the rule that it names."""


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_example_of_a_page_gives_the_rule_that_it_names(page: str) -> None:
    happens, client, rule = EXAMPLES[page]
    example = (DOCS / f"{page}.md").read_text(encoding="utf-8").partition("## An example")[2]
    assert "```js" in example and re.search(rf"\[{rule}\]\(rules\.md#{rule}\)", example)
    assert rule in {finding.rule for finding in happens(CLIENTS[client]).findings}


IDENTITIES: dict[str, tuple[str, str, str, Frame | None]] = {
    "graphql": ("auth.userId", "graphql-transport-ws", "", message(type="connection_init", payload={"userId": "ann"})),
    "phoenix": ("query.token|jwt:sub", "phoenix", f"ws://h/socket/websocket?vsn=2.0.0&token={JWT}", None),
    "pusher": (
        "auth.user_id",
        "pusher",
        "",
        message(
            event="pusher:subscribe", data={"channel": "presence-a", "channel_data": json.dumps({"user_id": "ann"})}
        ),
    ),
    "signalr": ("query.access_token|jwt:sub", "signalr", f"ws://h/hub?access_token={JWT}", None),
    "stomp": ("auth.login", "stomp", "", "CONNECT\nlogin:ann\npasscode:not-to-be-shown\n\n\0"),
    "mqtt": (
        "auth.username",
        "mqtt",
        "",
        mqtt_packet(
            0x10, mqtt_text("MQTT") + b"\x04\xc2\x00\x3c" + mqtt_text("me") + mqtt_text("ann") + mqtt_text("secret-1")
        ),
    ),
}
"""Page to a rule for the user that it states, the client, its URL, and the message that names the user."""


@pytest.mark.parametrize("page", IDENTITIES)
def test_the_user_comes_from_where_the_page_says(page: str) -> None:
    identity, name, url, login = IDENTITIES[page]
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert identity in text.partition("## Where the user comes from")[2]
    client, traffic = CLIENTS[name], TrafficDemux(IdentityRule.parse(identity), source="browser")
    traffic.on_websocket_created("ws", url or client.url, 1.0, initiator=PAGE)
    traffic.on_accepted("ws", 1.1, {"sec-websocket-protocol": client.subprotocol} if client.subprotocol else {})
    send(traffic, "ws", 1.2, [login] if login is not None else client.sent)
    for frame in client.received:
        traffic.on_frame("ws", 1.3, frame, outgoing=False)
    assert {getattr(event, "user", None) for event in traffic.events()} == {"ann"}


def test_every_protocol_with_subscriptions_has_a_page_with_all_parts() -> None:
    pages = {path.stem for path in DOCS.glob("*.md")}
    documented = {protocol.id.removesuffix("-ws") for protocol in PROTOCOLS} & pages
    assert documented == EXAMPLES.keys()
    for page in EXAMPLES:
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        assert re.search(r"^\| (message|packet|frame) \| what it is \|$", text, re.MULTILINE), page
        if page != "sockjs":  # carries another protocol, whose page has these parts
            assert "**Two subscriptions are the same**" in text and "\n## Where the user comes from\n" in text, page
