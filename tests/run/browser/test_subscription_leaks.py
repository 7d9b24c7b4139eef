"""A view that leaves subscriptions behind is found in every protocol, also if each visit subscribes to a new topic."""

import json
from collections.abc import Callable

import msgspec
import pytest

from wscheck.detect.engine import Judge
from wscheck.detect.rules.subscription_leaked import SubscriptionLeaked
from wscheck.model.code_facts import CallContext, Cleanup, OpenerCode
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Verdict
from wscheck.model.report import Report
from wscheck.observe.traffic import ConnectionOrigin, Initiator, TrafficDemux
from wscheck.run.browser.loop import Snapshot, count_rounds

Frame = str | bytes
Message = Callable[[int, str], Frame]
"""Message of the client, by the number of the visit (from 1) and the topic."""

VIEW = CodeLocation("src/view.jsx", 12)
NEVER_ENDS = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.MISSING)
ROUNDS = 3


class Client(msgspec.Struct, frozen=True):
    """Client of a protocol: what it sends and receives in order to log in, to subscribe, and to end a subscription.

    confirm  answer of the server to a subscription, without which the client would send it again
    """

    url: str
    subscribe: Message
    unsubscribe: Message
    sent: tuple[Frame, ...] = ()
    received: tuple[Frame, ...] = ()
    subprotocol: str = ""
    confirm: Message | None = None


def text(**fields: object) -> str:
    return json.dumps(fields)


def mqtt_text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


def mqtt_packet(head: int, content: bytes) -> bytes:
    return bytes([head, len(content)]) + content


def graphql(kind: str) -> Message:
    return lambda visit, topic: text(
        type=kind, id=f"{visit}", payload={"query": f"subscription {{ {topic} {{ id }} }}"}
    )


def cable(command: str) -> Message:
    return lambda visit, topic: text(command=command, identifier=text(channel=topic))


def signalr_json(**fields: object) -> str:
    return text(**fields) + "\x1e"


def signalr_packed(*fields: object) -> bytes:
    content = msgspec.msgpack.encode(fields)
    return bytes([len(content)]) + content


def stomp_subscribe(visit: int, topic: str) -> str:
    return f"SUBSCRIBE\nid:sub-{visit}\ndestination:/topic/{topic}\n\n\0"


def stomp_unsubscribe(visit: int, topic: str) -> str:
    return f"UNSUBSCRIBE\nid:sub-{visit}\n\n\0"


STOMP = Client(
    "ws://h/stomp", stomp_subscribe, stomp_unsubscribe, ("CONNECT\n\n\0",), ("CONNECTED\nversion:1.2\n\n\0",)
)

CLIENTS = {
    "graphql-transport-ws": Client(
        "ws://h/graphql",
        lambda visit, topic: text(
            type="subscribe", id=f"{visit}", payload={"query": f"subscription {{ {topic} {{ id }} }}"}
        ),
        lambda visit, topic: text(type="complete", id=f"{visit}"),
        (text(type="connection_init"),),
        (text(type="connection_ack"),),
        subprotocol="graphql-transport-ws",
    ),
    "graphql-ws": Client(
        "ws://h/graphql",
        lambda visit, topic: text(
            type="start", id=f"{visit}", payload={"query": f"subscription {{ {topic} {{ id }} }}"}
        ),
        lambda visit, topic: text(type="stop", id=f"{visit}"),
        (text(type="connection_init"),),
        (text(type="connection_ack"),),
        subprotocol="graphql-ws",
    ),
    "phoenix": Client(
        "ws://h/socket/websocket?vsn=2.0.0",
        lambda visit, topic: json.dumps([f"{visit}", f"{visit}", topic, "phx_join", {}]),
        lambda visit, topic: json.dumps([f"{visit}", f"9{visit}", topic, "phx_leave", {}]),
    ),
    "supabase": Client(
        "ws://h/realtime/v1/websocket?vsn=1.0.0",
        lambda visit, topic: text(
            topic=f"realtime:{topic}", event="phx_join", ref=f"{visit}", join_ref=f"{visit}", payload={"config": {}}
        ),
        lambda visit, topic: text(
            topic=f"realtime:{topic}", event="phx_leave", ref=f"9{visit}", join_ref=f"{visit}", payload={}
        ),
    ),
    "pusher": Client(
        "ws://h/app/key?protocol=7",
        lambda visit, topic: text(event="pusher:subscribe", data={"channel": topic}),
        lambda visit, topic: text(event="pusher:unsubscribe", data={"channel": topic}),
        received=(text(event="pusher:connection_established", data=text(socket_id="1.1")),),
    ),
    "action-cable": Client(
        "ws://h/cable",
        cable("subscribe"),
        cable("unsubscribe"),
        received=(text(type="welcome"),),
        subprotocol="actioncable-v1-json",
        confirm=lambda visit, topic: text(type="confirm_subscription", identifier=text(channel=topic)),
    ),
    "signalr": Client(
        "ws://h/hub",
        lambda visit, topic: signalr_json(type=4, invocationId=f"{visit}", target=topic, arguments=[]),
        lambda visit, topic: signalr_json(type=5, invocationId=f"{visit}"),
        (signalr_json(protocol="json", version=1),),
        ("{}\x1e",),
    ),
    "signalr-messagepack": Client(
        "ws://h/hub",
        lambda visit, topic: signalr_packed(4, {}, f"{visit}", topic, [], []),
        lambda visit, topic: signalr_packed(5, {}, f"{visit}"),
        (signalr_json(protocol="messagepack", version=1).encode(),),
        (b"{}\x1e",),
    ),
    "stomp": STOMP,
    "stomp-in-sockjs": Client(
        "ws://h/sock/123/abcdefgh/websocket",
        lambda visit, topic: json.dumps([stomp_subscribe(visit, topic)]),
        lambda visit, topic: json.dumps([stomp_unsubscribe(visit, topic)]),
        (json.dumps([STOMP.sent[0]]),),
        ("o", "a" + json.dumps([STOMP.received[0]])),
    ),
    "mqtt": Client(
        "ws://h/mqtt",
        lambda visit, topic: mqtt_packet(0x82, bytes([0, visit]) + mqtt_text(topic) + b"\0"),
        lambda visit, topic: mqtt_packet(0xA2, bytes([1, visit]) + mqtt_text(topic)),
        (mqtt_packet(0x10, mqtt_text("MQTT") + b"\x04\x02\x00\x3c" + mqtt_text("me")),),
        (mqtt_packet(0x20, b"\0\0"),),
        subprotocol="mqtt",
    ),
}


def visited(client: Client, topic: Callable[[int], str], *, ends: bool) -> Report:
    """Return the report about a page that visits a view, which subscribes with `client`, several times."""
    traffic = TrafficDemux(source="browser")
    traffic.on_websocket_created("ws", client.url, 1.0, initiator=Initiator("t", "tab 1", "page http://h/"))
    traffic.on_accepted("ws", 1.1, {"sec-websocket-protocol": client.subprotocol} if client.subprotocol else {})
    frames = [(1.2, each, True) for each in client.sent] + [(1.3, each, False) for each in client.received]
    for visit in range(1, ROUNDS + 1):
        frames.append((10.0 * visit, client.subscribe(visit, topic(visit)), True))
        if client.confirm is not None:
            frames.append((10.0 * visit + 0.1, client.confirm(visit, topic(visit)), False))
        if ends:
            frames.append((10.0 * visit + 1, client.unsubscribe(visit, topic(visit)), True))
    for at, frame, outgoing in frames:
        traffic.on_frame("ws", at, frame, outgoing=outgoing, senders=[client])
    events = traffic.events(resolve=lambda session, stack: ConnectionOrigin(opener=VIEW, code=NEVER_ENDS))
    (session,) = traffic.open_sessions()
    snapshots = [
        Snapshot(at=10.0 * number + 5, page="tab 1", place="/view", round=number, open={session.eio: session.sids})
        for number in range(ROUNDS + 1)
    ]
    judge = Judge(None, [SubscriptionLeaked])
    counted = count_rounds(snapshots, events)
    for event in sorted([*events, *counted], key=lambda event: event.at or 0.0):
        judge.feed(event)
    return judge.report()


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
class TestEveryProtocol:
    def test_one_topic_that_is_never_left(self, client: Client) -> None:
        report = visited(client, lambda visit: "room", ends=False)
        (found,) = report.findings
        assert found.cause is not None and found.cause.id == "subscription-without-end"
        assert "room (src/view.jsx:12)" in found.message and "src/view.jsx:12" in found.cause.fix

    def test_a_new_topic_at_each_visit_that_is_never_left(self, client: Client) -> None:
        report = visited(client, lambda visit: f"room{visit}", ends=False)
        (found,) = report.findings
        assert found.cause is not None and found.cause.id == "subscription-without-end"
        assert found.message.startswith("1 more subscription stays open for ")
        assert "room1" in found.message and "room3" in found.message
        assert found.message.endswith("after each of 3 rounds of /view, each for another name (open: 0, 1, 2, 3)")

    def test_topics_that_are_left(self, client: Client) -> None:
        for topic in (lambda visit: "room", lambda visit: f"room{visit}"):
            assert visited(client, topic, ends=True).verdict is Verdict.PASSED
