"""The connection policy, applied to the open connections of one user."""

import pytest

from wscheck.detect.connection_policy import PAGES_UNKNOWN, apply_policy
from wscheck.model.events import SOURCE_SERVER_LOG, Connected
from wscheck.model.findings import Severity
from wscheck.model.gaps import Gap
from wscheck.model.policy import UNDECIDED, ConnectionPolicy, Connections

CHAT, FEED = "https://shop.test/chat/socket.io/?x=1", "https://shop.test/feed/socket.io/"


def on(*pages: str | None, url: str | None = None) -> list[Connected | None]:
    return [Connected(user="A", sid=f"s{number}", page=page, url=url) for number, page in enumerate(pages)]


@pytest.mark.parametrize(
    ("pages", "connections", "severity", "gap"),
    [
        (["t1", "t2"], None, Severity.WARNING, UNDECIDED),
        (["t1", "t2"], "per-user", Severity.ERROR, None),
        (["t1", "t2"], "per-tab", None, None),
        (["t1", "t2"], 2, None, None),
        (["t1", "t2", "t3"], 2, Severity.ERROR, None),
        ([None, None], None, Severity.ERROR, UNDECIDED),
        ([None, None], "per-user", Severity.ERROR, None),
        ([None, None], "per-tab", None, PAGES_UNKNOWN),
        ([None, "t1"], "per-tab", None, PAGES_UNKNOWN),
        ([None, None], 2, None, None),
        ([None] * 3, 2, Severity.ERROR, None),
        (["t1"], "per-user", None, None),
    ],
)
def test_connections_of_several_pages_follow_the_policy(
    pages: list[str | None], connections: Connections | None, severity: Severity | None, gap: Gap | None
) -> None:
    result = apply_policy(on(*pages), ConnectionPolicy(connections))
    assert (result.severity, result.gap) == (severity, gap)


@pytest.mark.parametrize(
    ("allowed", "connections", "severity"),
    [
        ([2, 2], None, Severity.WARNING),
        ([2, 2, 2], None, Severity.ERROR),
        ([2, None], None, Severity.ERROR),
        ([2, 2], "per-user", Severity.ERROR),
    ],
)
def test_so_many_connections_as_the_log_allows_are_a_warning(
    allowed: list[int | None], connections: Connections | None, severity: Severity
) -> None:
    opened = [
        Connected(user="A", sid=f"s{number}", source=SOURCE_SERVER_LOG, allowed=each)
        for number, each in enumerate(allowed)
    ]
    assert apply_policy(opened, ConnectionPolicy(connections)).severity is severity


@pytest.mark.parametrize("connections", [None, "per-user", "per-tab", 2, 9])
def test_two_connections_of_one_page_violate_every_policy(connections: Connections | None) -> None:
    assert apply_policy(on("t1", "t1"), ConnectionPolicy(connections)).severity is Severity.ERROR
    two_pages = apply_policy(on("t1", "t2", "t2"), ConnectionPolicy(connections))
    assert two_pages.severity is Severity.ERROR


def test_only_the_connections_of_the_duplicated_page_are_reported_if_several_pages_are_permitted() -> None:
    result = apply_policy(on("t1", "t2", "t2"), ConnectionPolicy("per-tab"))
    assert [each.sid for each in result.connections if each is not None] == ["s1", "s2"]


@pytest.mark.parametrize(
    "other", [FEED, CHAT.replace("shop", "club"), CHAT.replace(".test", ".test:8443"), CHAT.replace("https", "http")]
)
def test_connections_to_two_endpoints_are_counted_separately(other: str) -> None:
    """The path, the host or the port differs."""
    assert apply_policy([*on("t1", url=CHAT), *on("t1", url=other)], ConnectionPolicy("per-user")).severity is None


def test_http_and_websocket_urls_of_one_endpoint_are_equal() -> None:
    websocket = on("t1", url="wss://shop.test:443/chat/socket.io?x=2")
    assert apply_policy([*on("t1", url=CHAT), *websocket], ConnectionPolicy("per-tab")).severity is Severity.ERROR


def test_the_names_of_this_machine_are_one_host() -> None:
    first, second = on("t1", url="http://localhost:80/socket.io/"), on("t1", url="ws://127.0.0.1/socket.io/")
    assert apply_policy([*first, *second], ConnectionPolicy()).severity is Severity.ERROR


def test_a_connection_with_unknown_endpoint_counts_with_all_others() -> None:
    assert apply_policy([*on("t1", url=CHAT), *on("t1")], ConnectionPolicy(3)).severity is Severity.ERROR
    assert apply_policy([*on("t1", url=CHAT), None], ConnectionPolicy("per-user")).severity is Severity.ERROR
