"""client-id-shared: two clients with one client id take the session from each other."""

import pytest

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.rules.client_id_shared import ClientIdShared
from wscheck.detect.rules.connection_replaced import ConnectionReplaced
from wscheck.detect.rules.excessive_attempts import ExcessiveAttempts
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, SESSION_TAKEN_OVER, TRANSPORT_CLOSE
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Confidence, Severity

URL = "ws://broker/mqtt"


def client(name: str = "ann", page: str = "tab-1") -> Conversation:
    return user(name, "browser", page=page, protocol="mqtt")


def connect(said: Conversation, sid: str, at: float, client_id: str | None = "desk", by: str = "src/a.js:3") -> None:
    said.attempts(at - 0.05, eio=sid)
    stack = (CodeLocation(by.partition(":")[0], int(by.partition(":")[2])),)
    said.connects(sid, at, by, eio=sid, url=URL, client_id=client_id, stack=stack)


def takeovers(
    first: Conversation,
    second: Conversation,
    *,
    count: int = 3,
    reason: str = TRANSPORT_CLOSE,
    delay: float = 0.01,
    apart: float = 1.0,
    other_id: str | None = "desk",
) -> Conversation:
    """Return two clients of which each ends the connection of the other, `delay` seconds after it has connected."""
    connect(first, "s0", 0)
    old, new = first, second
    for number in range(1, count + 1):
        at = number * apart
        connect(
            new,
            f"s{number}",
            at,
            other_id if new is second else "desk",
            "src/b.js:7" if new is second else "src/a.js:3",
        )
        old.disconnects(f"s{number - 1}", at + delay, reason)
        old, new = new, old
    return (first if first is second else first & second).watched(until=count * apart + 5)


@pytest.mark.parametrize("reason", [TRANSPORT_CLOSE, SESSION_TAKEN_OVER])
@pytest.mark.parametrize("delay", [0.01, -0.01], ids=["end after the opening", "end before it"])
def test_clients_of_two_pages_end_each_other(reason: str, delay: float) -> None:
    said = takeovers(client(), client("(user of tab 2)", "tab-2"), reason=reason, delay=delay)
    found = one(judged(ClientIdShared, said))
    assert (found.user, found.severity, found.confidence) == ("ann", Severity.ERROR, Confidence.HIGH)
    assert found.message == (
        "two clients have the client id desk, and the broker ends the older connection each time: "
        "src/a.js:3 and src/b.js:7"
    )
    assert found.cause is not None and found.cause.id == "client-id-reused"


def test_two_components_of_one_page() -> None:
    both = client()
    said = takeovers(both, both)
    assert one(judged(ClientIdShared, said)).cause is not None
    replaced = one(judged(ConnectionReplaced, said))
    assert replaced.cause is not None and replaced.cause.id == "client-id-reused"


@pytest.mark.parametrize(
    "said",
    [
        takeovers(client(), client("bob", "tab-2"), count=1),
        takeovers(client(), client("bob", "tab-2"), apart=90),
        takeovers(client(), client("bob", "tab-2"), other_id="other"),
        takeovers(client(), client("bob", "tab-2"), other_id=None),
        takeovers(client(), client("bob", "tab-2"), reason=IO_CLIENT_DISCONNECT),
        takeovers(client(), client("bob", "tab-2"), apart=30, delay=20),
    ],
    ids=["once", "seldom", "two ids", "no ids", "closed by the client", "ended much later"],
)
def test_other_ends_are_healthy(said: Conversation) -> None:
    assert judged(ClientIdShared, said) == []


def test_a_client_that_reconnects_after_its_end_shares_nothing() -> None:
    said = client()
    for number in range(9):
        connect(said, f"s{number}", number * 1.0)
        said.disconnects(f"s{number}", number + 0.9, TRANSPORT_CLOSE)
    said.watched(until=20)
    assert judged(ClientIdShared, said) == []
    found = judged(ExcessiveAttempts, said)
    assert all(each.cause is None or each.cause.id != "client-id-reused" for each in found)
